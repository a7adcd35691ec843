/**
 * Epochs: the number of a process of a Core, greater than that of every process before it; and other rows of the mesh in
 * the store.
 */
import { type Store, Table } from '../ports.ts'

/** Key of the epoch of the last process, in the table Meta. */
export const EPOCH_KEY = 3
const EPOCH_BYTES = 4

export function encodeEpoch(epoch: number): Uint8Array {
  const bytes = new Uint8Array(EPOCH_BYTES)
  new DataView(bytes.buffer).setUint32(0, epoch)
  return bytes
}

/** Returns the epoch of the last process; 0 when there was none. */
export function storedEpoch(store: Store): number {
  const bytes = store.get(Table.Meta, EPOCH_KEY, 0, 0)
  if (bytes?.length !== EPOCH_BYTES) return 0
  return new DataView(bytes.buffer, bytes.byteOffset, EPOCH_BYTES).getUint32(0)
}

/** Reads the messages at QoS 2 that other Cores have forwarded, each with its Core, its epoch and its number. */
export function readSeen(store: Store, visit: (core: number, epoch: number, number: number) => void): void {
  store.scanKeys(Table.Forwarded, (number, core, epoch) => visit(core, epoch, number))
}
