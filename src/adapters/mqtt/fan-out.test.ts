import { expect, it } from 'vitest';
import { covers } from './fan-out.ts';

it('matches filters as MQTT 3.1.1, section 4.7, says', () => {
  const cases: [string, string, boolean][] = [
    ['tendril/v1/n1/#', 'tendril/v1/n1/hello', true],
    ['tendril/v1/n1/#', 'tendril/v1/n1', true],
    ['tendril/v1/n1/#', 'tendril/v1/n1/a/b', true],
    ['tendril/v1/n1/#', 'tendril/v1/n2/hello', false],
    ['tendril/v1/n1/+', 'tendril/v1/n1/hello', true],
    ['tendril/v1/n1/+', 'tendril/v1/n1/a/b', false],
    ['tendril/v1/n1/+', 'tendril/v1/n1', false],
    ['tendril/v1/n1/hello', 'tendril/v1/n1/hello', true],
    ['tendril/v1/n1/hello', 'tendril/v1/n1/hello/x', false],
    ['tendril/v1/n1/hello', 'tendril/v1/n1', false],
  ];
  for (const [filter, topic, expected] of cases) expect(covers(filter, topic), `${filter} ${topic}`).toBe(expected);
});
