/** The expectations of the model for a client whose process has died: it remembers only what it had made safe. */
import type { Model } from './model.ts'

/**
 * Forgets what it had sent at QoS 1, which it need not know; with `isAll` everything else as well, and it begins anew.
 */
export function clientForgets(model: Model, clientId: string, isAll: boolean): void {
  const session = model.sessions.get(clientId)
  if (session === undefined) return
  for (const [packetId, { qos }] of session.fromClient) if (isAll || qos === 1) session.fromClient.delete(packetId)
}
