/** What the model may expect of a client whose process has died: its memory is what it had made safe. */
import type { Model } from './model.ts'

/** It need not know what it had sent at QoS 1; `isAll`: nor anything else, and it begins anew. */
export function clientForgets(model: Model, clientId: string, isAll: boolean): void {
  const life = model.lives.get(clientId)
  if (life === undefined) return
  for (const [packetId, { qos }] of life.fromClient) if (isAll || qos === 1) life.fromClient.delete(packetId)
}
