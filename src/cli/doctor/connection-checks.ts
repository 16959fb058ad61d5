/** What `tendril doctor` finds on the way to the orchestrator. The first failure ends it: the rest would only echo it. */

import { stat } from 'node:fs/promises';
import { CodedError } from '../../core/model/errors.ts';
import { ApiClient } from '../api/api-client.ts';
import { Transport } from '../api/transport.ts';
import { withoutReplicas } from '../commands/status.ts';
import { configPath } from '../context/config-file.ts';
import { type ConnectionFlags, chooseTarget, type Target } from '../context/target.ts';
import { formatAge } from '../output/age.ts';
import type { Shell } from '../shell.ts';
import type { Check } from './check.ts';
import { checkGroup, isLeaderless } from './group-checks.ts';

const DAY_MS = 86_400_000;
/** Certificates renew themselves at two thirds of their life; one that is this old has missed several tries. */
const CERTIFICATE_WARN_MS = 14 * DAY_MS;
/** Certificates are backdated by 5 minutes; tokens and logs are confusing long before. */
const CLOCK_WARN_MS = 30_000;
const CLOCK_FAIL_MS = 5 * 60_000;

export async function checkConnection(shell: Shell, flags: ConnectionFlags): Promise<Check[]> {
  const checks: Check[] = [];
  let target: Target;
  try {
    target = await chooseTarget(shell, flags);
  } catch (error) {
    return [failed('context', error)];
  }
  checks.push({ name: 'context', result: 'ok', finding: `${target.server} (${target.origin})` });
  checks.push(...(await checkConfigMode(shell)));

  const transport = new Transport(target, shell.interrupted);
  const client = new ApiClient(transport);
  try {
    const started = shell.nowMs();
    const answer = await transport.json('GET', '/v1/ca');
    const tookMs = shell.nowMs() - started;
    checks.push({ name: 'reach', result: 'ok', finding: `answers in ${tookMs} ms` });
    checks.push(...checkClock(answer, started + tookMs / 2));
    if (transport.certificate) checks.push(checkExpiry(transport.certificate.notAfterMs - shell.nowMs()));
    const group = await client.group().catch(withoutReplicas);
    checks.push({ name: 'token', result: 'ok', finding: 'is accepted' });
    if (group !== null && isLeaderless(group)) return [...checks, ...checkGroup(group)];
    const status = await client.status();
    if (status.group) checks.push(...checkGroup(status.group)); // the leader knows more
    checks.push({
      name: 'version',
      result: status.software === shell.software ? 'ok' : 'warn',
      finding: `orchestrator ${status.software}, this program ${shell.software}`,
      ...(status.software !== shell.software && {
        advice: 'Different versions understand each other for what both know; update the older one.',
      }),
    });
    const { parent } = status;
    if (parent && !parent.connected)
      checks.push({
        name: 'parent',
        result: 'warn',
        finding: `${parent.url} is not connected for ${formatAge(shell.nowMs() - parent.sinceMs)}${parent.problem ? `: ${parent.problem}` : ''}`,
        advice: 'The cluster goes on by itself. Check the network between them; it reconnects by itself too.',
      });
  } catch (error) {
    checks.push(failed(checks.some((check) => check.name === 'reach') ? 'token' : 'reach', error));
  } finally {
    await client.close();
  }
  return checks;
}

async function checkConfigMode(shell: Shell): Promise<Check[]> {
  const path = configPath(shell);
  const found = await stat(path).catch(() => null);
  if (!found || (found.mode & 0o077) === 0) return [];
  return [
    { name: 'config', result: 'warn', finding: `${path} holds tokens and others can read it`, advice: `chmod 600 ${path}` },
  ];
}

function checkClock(answer: unknown, middleMs: number): Check[] {
  const nowMs = typeof answer === 'object' && answer !== null && 'nowMs' in answer ? answer.nowMs : null;
  if (typeof nowMs !== 'number') return [];
  const offMs = Math.abs(nowMs - middleMs);
  const finding = offMs < 1_000 ? 'agrees with the orchestrator' : `differs from the orchestrator's by ${formatAge(offMs)}`;
  if (offMs < CLOCK_WARN_MS) return [{ name: 'clock', result: 'ok', finding }];
  return [{ name: 'clock', result: offMs < CLOCK_FAIL_MS ? 'warn' : 'fail', finding, advice: 'Set both clocks (NTP).' }];
}

function checkExpiry(leftMs: number): Check {
  const finding = `the orchestrator's expires in ${formatAge(leftMs)}`;
  if (leftMs > CERTIFICATE_WARN_MS) return { name: 'certificate', result: 'ok', finding };
  return {
    name: 'certificate',
    result: 'warn',
    finding,
    advice: "It should have renewed itself by now: see the orchestrator's log, and restart it.",
  };
}

function failed(name: string, error: unknown): Check {
  if (!(error instanceof CodedError)) throw error;
  return { name, result: 'fail', finding: error.message, advice: error.hint };
}
