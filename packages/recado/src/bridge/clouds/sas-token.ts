/**
 * Shared access signatures of Azure: a password that a device makes from its key, and that expires.
 *
 * `BridgeCredentials` renews them. Invariant: a token is renewed before it expires, however often the bridge connects.
 * Source: https://learn.microsoft.com/azure/iot-hub/iot-hub-dev-guide-sas
 */
import { createHmac } from 'node:crypto'

/** Share of its lifetime after which a token is renewed. */
const RENEW_SHARE = 0.8
/** Least time in milliseconds from the renewal to the expiry, for a clock that is not quite right. */
const RENEW_BEFORE_MS = 60_000

/** Returns the token. `key` is base64, as the portal shows it; `expirySeconds` counts from the Unix epoch. */
export function sasToken(resource: string, key: string, expirySeconds: number): string {
  const encoded = encodeURIComponent(resource)
  const signature = createHmac('sha256', Buffer.from(key, 'base64'))
    .update(`${encoded}\n${expirySeconds}`)
    .digest('base64')
  return `SharedAccessSignature sr=${encoded}&sig=${encodeURIComponent(signature)}&se=${expirySeconds}`
}

/** Whether a text can be a key: base64 of 16 bytes at least. */
export function isSasKey(key: string): boolean {
  return /^[A-Za-z0-9+/]+={0,2}$/.test(key) && Buffer.from(key, 'base64').length >= 16
}

export interface SasSettings {
  readonly resource: string
  readonly key: string
  readonly lifetimeSeconds: number
}

export interface Credential {
  readonly password: string
  /** Time in milliseconds since the Unix epoch at which the bridge must connect again with a new one. */
  readonly renewAtMs: number
}

/** Returns a token that is made now. */
export function credentialAt({ resource, key, lifetimeSeconds }: SasSettings, nowMs: number): Credential {
  const expirySeconds = Math.floor(nowMs / 1000) + lifetimeSeconds
  const lifetimeMs = lifetimeSeconds * 1000
  const restMs = Math.min(Math.max(lifetimeMs * (1 - RENEW_SHARE), RENEW_BEFORE_MS), lifetimeMs / 2)
  return { password: sasToken(resource, key, expirySeconds), renewAtMs: expirySeconds * 1000 - restMs }
}
