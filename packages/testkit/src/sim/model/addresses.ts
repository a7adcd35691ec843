/**
 * Connections from one address: no more are open than the limit allows, and none is refused before (docs/configuration.md).
 */
import type { Model } from './model.ts'
import type { Link } from './state.ts'

/** The broker has taken a new connection, or closed it at once. */
export function checkAddress(model: Model, link: Link, isTaken: boolean): void {
  const { connectionsPerAddressMax } = model.settings
  const address = addressOf(link)
  let others = 0
  for (const each of model.links) if (each !== link && addressOf(each) === address) others++
  if (isTaken && others >= connectionsPerAddressMax)
    model.fail('bounds', `${link.name} is taken, and ${others} connections from there are open`)
  else if (!isTaken && others < connectionsPerAddressMax)
    model.fail('closing', `${link.name} is refused, and ${others} connections from there are open`)
  else if (!isTaken) model.cover('close.address')
}

/** Without its port. */
function addressOf({ name }: Link): string {
  return name.slice(0, Math.max(0, name.lastIndexOf(':')))
}
