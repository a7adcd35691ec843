/**
 * Environment of the broker, as in Mosquitto 2.1 and its container images: PUID, PGID and UMASK_SET.
 *
 * `serve.ts` asks at the start, before any file is opened. Invariant: a value that cannot be used ends the start, with its name.
 */
import { MqttError } from '@recado/protocol'
import { type Account, accountOf, accountOfId, isRoot } from './privileges.ts'

export type Environment = Readonly<Record<string, string | undefined>>

const ID_MAX = 4_294_967_294

/** @throws MqttError ERR_RECADO_ENVIRONMENT */
function idIn(env: Environment, name: string): number | null {
  const value = env[name]
  if (value === undefined || value === '') return null
  const id = /^\d{1,10}$/.test(value) ? Number(value) : Number.NaN
  if (!(id <= ID_MAX)) {
    throw new MqttError('ERR_RECADO_ENVIRONMENT', `${name} must be a number of a user or group, not "${value}"`)
  }
  return id
}

/**
 * Returns who the broker is to become; null: it stays who it is. PUID and PGID come before `user`; either alone takes the other from
 * `user`, or from the account with that number. @throws MqttError ERR_RECADO_ENVIRONMENT, ERR_RECADO_USER
 */
export function accountToBecome(user: string | null, env: Environment): Account | null {
  if (!isRoot()) return null
  const [uid, gid] = [idIn(env, 'PUID'), idIn(env, 'PGID')]
  if (uid === null && gid === null) return user === null ? null : accountOf(user)
  if (uid !== null) {
    const account = accountOfId(uid)
    return gid === null ? account : { ...account, gid, hasOwnGroups: false }
  }
  if (user === null) {
    throw new MqttError(
      'ERR_RECADO_ENVIRONMENT',
      'PGID needs PUID, or user in the configuration: whose group is it to be?',
    )
  }
  return { ...accountOf(user), gid: gid!, hasOwnGroups: false }
}

/** Takes UMASK_SET, an octal number, for the files that are made from now on. @throws MqttError ERR_RECADO_ENVIRONMENT */
export function takeUmask(env: Environment, process: Pick<NodeJS.Process, 'umask'>): void {
  const value = env['UMASK_SET']
  if (value === undefined || value === '') return
  if (!/^0?[0-7]{1,4}$/.test(value) || Number.parseInt(value, 8) > 0o777) {
    throw new MqttError('ERR_RECADO_ENVIRONMENT', `UMASK_SET must be an octal number up to 777, not "${value}"`)
  }
  process.umask(Number.parseInt(value, 8))
}
