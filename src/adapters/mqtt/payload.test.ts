import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { downMessageSchema, upMessageSchema } from '../../core/model/messages.ts';
import { decode, newCounters } from './payload.ts';

it('finds the examples of docs/uplink.md valid, one of each kind', () => {
  const text = readFileSync('docs/uplink.md', 'utf8');
  const kinds = [...text.matchAll(/```json\n([\s\S]*?)\n```/g)].map(([, json = '']) => {
    const { type } = JSON.parse(json);
    const schema = type === 'hello' || type === 'report' ? upMessageSchema : downMessageSchema;
    const problems: string[] = [];
    const message = decode<{ readonly type: string }>(schema, type, Buffer.from(json), newCounters(), (problem) =>
      problems.push(problem),
    );
    expect(problems, json).toEqual([]);
    return message?.type;
  });
  expect(kinds).toEqual(['hello', 'report', 'report', 'desired', 'stream']);
});
