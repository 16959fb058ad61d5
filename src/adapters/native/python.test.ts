import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runtimeConformance } from '../../../test/conformance/runtime.ts';
import { createPythonRuntime, PythonLauncher } from './python.ts';
import { clock, leftovers } from './testing.ts';

const python = (...lines: string[]) => ({
  runtime: 'python' as const,
  script: ['import os, signal, sys, time', ...lines, ''].join('\n'),
});
const FOREVER = 'time.sleep(1000)';

runtimeConformance('python', () => ({
  programs: {
    serve: () => ({
      ...python(
        'from http.server import HTTPServer, SimpleHTTPRequestHandler',
        'HTTPServer(("127.0.0.1", int(os.environ["PORT"])), SimpleHTTPRequestHandler).serve_forever()',
      ),
      ports: [{}],
    }),
    tick: () => python('n = 0', 'while True:', '  n += 1', '  print("tick", n)', '  time.sleep(0.05)'),
    exit: (code) => ({ ...python('print("bye")', 'sys.exit(int(sys.argv[1]))'), args: [String(code)] }),
    exitWhen: (file, code) => ({
      ...python('while not os.path.exists(sys.argv[1]):', '  time.sleep(0.05)', `sys.exit(${code})`),
      args: [file],
    }),
    polite: () =>
      python(
        'def asked(*_):',
        '  print("asked")',
        '  sys.exit(0)',
        'signal.signal(signal.SIGTERM, asked)',
        'print("ready")',
        FOREVER,
      ),
    stubborn: () => python('signal.signal(signal.SIGTERM, signal.SIG_IGN)', 'print("ready")', FOREVER),
    print: (count) =>
      python(
        `for n in range(1, ${count + 1}):`,
        '  print("out", n)',
        '  print("err", n, file=sys.stderr)',
        'print("end")',
        FOREVER,
      ),
    flood: (bytes) => python(`for n in range(${Math.ceil(bytes / 1000)}):`, '  print("x" * 1000)', 'print("end")', FOREVER),
    environment: (env) => ({
      ...python('for item in os.environ.items():', '  print("%s=%s" % item)', 'print("end")', FOREVER),
      env,
      ports: [{}, { name: 'second-one' }],
    }),
    missing: () => null,
  },
  create: (directory, nodeUid) => createPythonRuntime({ clock }, { directory, nodeUid }),
  leftovers: (directory, nodeUid, id) => leftovers('python', directory, nodeUid, id),
}));

describe('python detection', () => {
  it('says what is missing', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tendril-python-'));
    try {
      expect(await new PythonLauncher(folder, 'uid1').detect()).toEqual({ available: false, detail: 'python3 is not installed' });
      await writeFile(join(folder, 'python3'), '#!/bin/sh\necho 3.7.3\necho /usr/bin/python3\n', { mode: 0o755 });
      expect(await new PythonLauncher(folder, 'uid1').detect()).toEqual({
        available: false,
        detail: 'Python 3.7.3 is too old; 3.8 is the least',
      });
      await writeFile(join(folder, 'python3'), '#!/bin/sh\nexit 3\n', { mode: 0o755 });
      expect((await new PythonLauncher(folder, 'uid1').detect()).detail).toMatch(/^python3 does not run: /);
      // What asks is known as the node's, so that it ends with all else that a killed node leaves.
      await writeFile(join(folder, 'python3'), '#!/bin/sh\necho "3.9.$TENDRIL_NODE"\n', { mode: 0o755 });
      expect(await new PythonLauncher(folder, 'uid1').detect()).toEqual({ available: true, detail: 'Python 3.9.uid1' });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
