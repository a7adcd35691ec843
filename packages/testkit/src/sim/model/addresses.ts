/**
 * Connections from one address: no more are open than the limit allows, and none is refused before (docs/configuration.md).
 */
import type { Model } from './model.ts'
import type { ModelConnection } from './state.ts'

/** The broker has taken a new connection, or closed it at once. */
export function checkAddress(model: Model, connection: ModelConnection, isTaken: boolean): void {
  const { connectionsPerAddressMax } = model.settings
  const address = addressOf(connection)
  let others = 0
  for (const each of model.connections) if (each !== connection && addressOf(each) === address) others++
  if (isTaken && others >= connectionsPerAddressMax)
    model.fail('bounds', `${connection.name} is taken, and ${others} connections from there are open`)
  else if (!isTaken && others < connectionsPerAddressMax)
    model.fail('closing', `${connection.name} is refused, and ${others} connections from there are open`)
  else if (!isTaken) model.cover('close.address')
}

/** Without its port. */
function addressOf({ name }: ModelConnection): string {
  return name.slice(0, Math.max(0, name.lastIndexOf(':')))
}
