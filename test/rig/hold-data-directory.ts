/** Claims a data directory, `<path>`, or only locks it as on macOS, `darwin:<path>`; says how it went; stays when it has it. */
import { openDataDirectory } from '../../src/adapters/file-store/data-directory.ts';
import { lockDirectory } from '../../src/adapters/file-store/directory-lock.ts';
import { CodedError } from '../../src/core/model/errors.ts';

const [path = ''] = process.argv.slice(2);
try {
  if (path.startsWith('darwin:')) await lockDirectory(path.slice('darwin:'.length), 'darwin');
  else await openDataDirectory(path);
  console.log('open');
  setInterval(() => {}, 1 << 30);
} catch (error) {
  console.log(error instanceof CodedError ? error.code : String(error));
}
