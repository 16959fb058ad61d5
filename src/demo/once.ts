/** The demo as a proof: the deployed service answers, a machine with a copy on it dies, its replacement answers. */
import { setTimeout as delay } from 'node:timers/promises';
import type { InstanceView } from '../core/model/views.ts';
import { dataDirectoryOf, type Edge } from './edge.ts';
import { killNode } from './processes.ts';
import { ask, untilAnswers, untilRunning } from './services.ts';
import type { Steps } from './steps.ts';

const CHECK_MS = 20;

export async function proveOnce(edge: Edge, name: string, steps: Steps, signal: AbortSignal): Promise<string> {
  const { client, directory } = edge;
  let copies: readonly InstanceView[] = [];
  await steps.step(`waiting for ${name}`, async (told) => {
    copies = await untilRunning(
      client,
      name,
      ({ running, wanted, reason }) => told(`${running} of ${wanted} run${reason && `; ${reason}`}`),
      signal,
    );
    return `${name} runs: ${copies.map(({ node }) => node).join(', ')}`;
  });
  await steps.step(`asking ${name} over HTTP`, async () => {
    const answers = await Promise.all(copies.map((copy) => untilAnswers(copy, signal)));
    return `it answers: "${answers[0]}"${answers.length > 1 ? `, and ${answers.length - 1} more` : ''}`;
  });

  const [victim] = copies;
  if (!victim) throw new Error(`${name} has no copy`);
  await steps.step(`killing ${victim.node}`, async () => {
    await killNode(directory, dataDirectoryOf(directory, victim.node));
    if ((await ask(victim)) !== null) throw new Error(`${victim.id} still answers after ${victim.node} was killed`);
    return `${victim.node} killed, and ${victim.id} with it`;
  });
  const killedMs = performance.now();
  await steps.step(`waiting until somebody notices`, async () => {
    await untilNoticed(edge, victim, signal);
    return `the platform has noticed that ${victim.id} is lost`;
  });
  await steps.step('waiting for its replacement', async () => {
    const replacement = await untilReplaced(edge, victim, copies, signal);
    const answer = await untilAnswers(replacement, signal);
    return `it is replaced on ${replacement.node}: "${answer}"`;
  });
  return `From the death of the node to the answer of the replacement: ${((performance.now() - killedMs) / 1000).toFixed(2)} s.`;
}

/** Its cluster may have put it elsewhere between two looks: then the root has never called it lost. */
async function untilNoticed({ client }: Edge, { id, service, node }: InstanceView, signal: AbortSignal): Promise<void> {
  for (;;) {
    const seen = (await client.instances(service)).find((instance) => instance.id === id);
    if (seen?.state !== 'RUNNING' || seen.node !== node) return;
    await delay(CHECK_MS, undefined, { signal });
  }
}

/** As many copies as before, one of them new, none where the node died. */
async function untilReplaced(
  { client }: Edge,
  victim: InstanceView,
  before: readonly InstanceView[],
  signal: AbortSignal,
): Promise<InstanceView> {
  for (;;) {
    const running = (await client.instances(victim.service)).filter(
      ({ state, node }) => state === 'RUNNING' && node !== victim.node,
    );
    const replacement = running.find(({ id, node }) => !before.some((copy) => copy.id === id && copy.node === node));
    if (running.length >= before.length && replacement) return replacement;
    await delay(CHECK_MS, undefined, { signal });
  }
}
