/** A node's documents as files of one directory. */
import { join, resolve } from 'node:path';
import { limits } from '../../core/base/limits.ts';
import { assertDocumentName, checkDocumentSize, type Store } from '../../ports/store.ts';
import { makePrivateDirectory, readWhole, removeFile, replaceFile } from './files.ts';

export class FileStore implements Store {
  readonly #directory: string;
  /** One change at a time: two writes to one name share a temporary file, and the later must win. */
  #lastChange: Promise<unknown> = Promise.resolve();

  /** `directory` belongs to the store alone; it is made when first needed. */
  constructor(directory: string) {
    this.#directory = resolve(directory);
  }

  async read(name: string): Promise<Uint8Array | null> {
    assertDocumentName(name);
    return await readWhole(join(this.#directory, name), limits.documentBytes);
  }

  async write(name: string, content: Uint8Array): Promise<void> {
    assertDocumentName(name);
    checkDocumentSize(name, content.length);
    const copy = new Uint8Array(content);
    await this.#change(async () => {
      await makePrivateDirectory(this.#directory);
      await replaceFile(this.#directory, name, copy);
    });
  }

  async remove(name: string): Promise<void> {
    assertDocumentName(name);
    await this.#change(() => removeFile(this.#directory, name));
  }

  #change(action: () => Promise<void>): Promise<void> {
    const change = this.#lastChange.then(action);
    this.#lastChange = change.catch(() => {});
    return change;
  }
}
