/** A node's documents on a simulated disk. */
import { assertDocumentName, checkDocumentSize, type Store } from '../../ports/store.ts';
import type { DiskAttachment, DiskContent, MemoryDisk } from './disk.ts';

export class MemoryStore implements Store {
  readonly #disk: DiskAttachment;

  constructor(disk: MemoryDisk) {
    this.#disk = disk.attach();
  }

  async read(name: string): Promise<Uint8Array | null> {
    assertDocumentName(name);
    const content = this.#disk.disk.content.documents.get(name);
    return content ? new Uint8Array(content) : null;
  }

  async write(name: string, content: Uint8Array): Promise<void> {
    assertDocumentName(name);
    checkDocumentSize(name, content.length);
    const copy = new Uint8Array(content);
    await this.#change((disk) => disk.documents.set(name, copy));
  }

  async remove(name: string): Promise<void> {
    assertDocumentName(name);
    await this.#change((disk) => disk.documents.delete(name));
  }

  #change(apply: (content: DiskContent) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#disk.write(apply, (failure) => (failure ? reject(failure) : resolve()));
    });
  }
}
