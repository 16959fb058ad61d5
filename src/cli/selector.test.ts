import { describe, expect, it } from 'vitest';
import { parseSelector } from './selector.ts';

const labels = { app: 'web', 'edgeio/job-name': 'a_b', empty: '' };

describe('label selectors', () => {
  it.each<[string, boolean]>([
    ['', true],
    ['app=web', true],
    ['app==web', true],
    ['app = web', true],
    ['app=db', false],
    ['app!=db', true],
    ['gone!=x', true],
    ['gone=x', false],
    ['app', true],
    ['gone', false],
    ['!gone', true],
    ['!app', false],
    ['empty=', true],
    ['edgeio/job-name=a_b', true],
    ['app in (db,web)', true],
    ['app in (db, cache)', false],
    ['app notin (db)', true],
    ['gone in (x)', false],
    ['gone notin (x)', true],
    ['app=web,!gone,app in (web,db)', true],
    ['app=web,gone', false],
  ])('%s', (text, expected) => {
    expect(parseSelector(text)(labels)).toBe(expected);
  });

  it.each(['=web', 'app=a=b', 'app in web', 'app in (a', '()'])('refuses %s', (text) => {
    expect(() => parseSelector(text)).toThrow('is not a selector');
  });
});
