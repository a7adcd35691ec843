/**
 * What happens in the broker, as log lines: an `Observer` that tells the `Logger`, in Mosquitto's words where it has some.
 *
 * `serve.ts` hands it to the broker. The invariants: an event is not even observed when its type is not logged, so
 * that a quiet log costs nothing; nothing per message above `debug`; dropped messages are summed up per client
 * (`DropSums`).
 */
import type { BrokerEvents, ClientInfo, Observer } from '@recado/broker'
import { ReasonCode, reasonCodeName } from '@recado/protocol'
import type { DropSums } from './drop-sums.ts'
import type { LogFields, Logger } from './log.ts'

const DAMAGED_ROWS_TOLD = 10
/** What `memory_limit` does, by level. */
const MEMORY_LEVELS = [
  'Memory is not short any more: nothing is refused for its sake',
  'Memory is short: no new sessions, subscriptions and retained topics are taken',
  'Memory is short: messages that would have to wait and new connections are refused',
  'Memory is at its limit: clients with most bytes waiting are disconnected',
] as const

const fieldsOf = (client: ClientInfo): LogFields => ({
  clientId: client.clientId,
  username: client.username,
  remoteAddress: client.remoteAddress,
  listener: client.listener,
})

/**
 * @param connectionMessages also when clients connect and disconnect
 * @param drops those of an observer before this one too
 * @param onFatal the broker cannot keep its promise any more: the process has to end
 */
export function observerFor(
  logger: Logger,
  connectionMessages: boolean,
  onFatal: () => void,
  drops: DropSums,
): Observer {
  const observer: Observer = {
    'session.ended': ({ clientId, why }) => {
      if (why === 'expired') {
        logger.log('notice', 'session.ended', `Expiring client ${clientId} due to timeout.`, { clientId, why })
      } else {
        logger.log('debug', 'session.ended', `Session of ${clientId} ended: ${why}.`, { clientId, why })
      }
    },
    'message.dropped': (event) => drops.add(event),
    'memory.level': ({ level, usedBytes, limitBytes }) => {
      const used = `${Math.round(usedBytes / 1e6)} MB of ${Math.round(limitBytes / 1e6)} MB in use`
      logger.log(level === 0 ? 'notice' : 'warning', 'memory.level', `${MEMORY_LEVELS[level]} (${used}).`, {
        level,
        usedBytes,
        limitBytes,
      })
    },
    ...storeInto(logger),
    'hook.failed': ({ hook, error }) => {
      const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
      logger.log('error', 'hook.failed', `${hook} failed: ${what}`, { hook })
    },
    'core.failed': ({ where, clientId, error, isFatal }) => {
      const ended = clientId === '' ? 'what it was doing is given up' : `the connection of ${clientId} ends`
      const message = isFatal
        ? `A fault in the broker itself (${where}): what is in memory and on the disk may differ, so nothing more is acknowledged and the broker ends, to be started anew from the disk`
        : `A fault in the broker itself (${where}): ${ended}, everything else goes on. Please report it`
      logger.fault('core.failed', message, error, { where, clientId })
      if (isFatal) onFatal()
    },
  }
  if (logger.has('notice')) {
    observer['subscription.withdrawn'] = ({ client, topicFilter, reasonCode }) =>
      logger.log(
        'notice',
        'subscription.withdrawn',
        `Subscription of ${client.clientId} to ${topicFilter} has ended: it is not allowed any more (${hex(reasonCode)}).`,
        { ...fieldsOf(client), topicFilter, reasonCode },
      )
  }
  if (connectionMessages && logger.has('notice')) Object.assign(observer, connections(logger))
  if (logger.has('subscribe')) {
    observer['subscription.made'] = ({ client, topicFilter, qos, reasonCode }) => {
      const granted = reasonCode < 0x80 ? `${qos}` : `refused (${reasonCodeName(reasonCode)})`
      logger.log('subscribe', 'subscription.made', `${client.clientId} ${granted} ${topicFilter}`, {
        ...fieldsOf(client),
        topicFilter,
        qos,
        reasonCode,
      })
    }
  }
  if (logger.has('unsubscribe')) {
    observer['subscription.ended'] = ({ client, topicFilter }) =>
      logger.log('unsubscribe', 'subscription.ended', `${client.clientId} ${topicFilter}`, {
        ...fieldsOf(client),
        topicFilter,
      })
  }
  if (logger.has('debug')) Object.assign(observer, details(logger))
  return observer
}

/** `store.loaded` and `store.quarantined` belong to the start and are told by `serve.ts`. */
function storeInto(logger: Logger): Observer {
  let damagedRows = 0
  return {
    'store.failed': ({ error }) => {
      const message = `${error.message}. What must be kept is refused until this ends: QoS 1 and 2 messages for sessions that outlive their connection, and retained ones. Writing is tried again every second.`
      logger.log('error', 'store.failed', message, { error: error.message })
    },
    'store.recovered': () =>
      logger.log('notice', 'store.recovered', 'The store writes again; nothing is refused any more.'),
    'store.row-damaged': ({ table, row, error }) => {
      damagedRows++
      if (damagedRows > DAMAGED_ROWS_TOLD) return
      const more = damagedRows === DAMAGED_ROWS_TOLD ? ' Further ones are not told.' : ''
      const what = error instanceof Error ? error.message : String(error)
      const message = `DATA LOST: row ${row} of table ${table} is damaged and was passed over: ${what}.${more}`
      logger.log('error', 'store.row-damaged', message, { table, row })
    },
  }
}

function connections(logger: Logger): Observer {
  return {
    'connection.opened': ({ remoteAddress, listener }) =>
      logger.log(
        'notice',
        'connection.opened',
        `New connection from ${remoteAddress || 'a unix socket'} on ${listener}.`,
        {
          remoteAddress,
          listener,
        },
      ),
    'connection.refused': ({ remoteAddress, listener, clientId, reasonCode, why }) =>
      logger.log(
        'notice',
        'connection.refused',
        `Client ${clientId || '<unknown>'} from ${remoteAddress || 'a unix socket'} refused: ${why} (${hex(reasonCode)}).`,
        { remoteAddress, listener, clientId, reasonCode, why },
      ),
    'connection.failed': ({ remoteAddress, listener, clientId, reasonCode, why }) =>
      logger.log(
        // Of one that has got as far as CONNECT its end is told as well.
        clientId === '' ? 'notice' : 'debug',
        'connection.failed',
        `Connection from ${remoteAddress} (${clientId || '<unknown>'}) failed: ${why}.`,
        {
          remoteAddress,
          listener,
          clientId,
          reasonCode,
          why,
        },
      ),
    'client.connected': (event) => connected(logger, event),
    'client.disconnected': (event) => disconnected(logger, event),
    'session.taken-over': ({ clientId, remoteAddress }) =>
      logger.log('notice', 'session.taken-over', `Client ${clientId} already connected, closing old connection.`, {
        clientId,
        remoteAddress,
      }),
  }
}

function connected(logger: Logger, event: BrokerEvents['client.connected']): void {
  const { client, cleanStart, keepAliveSeconds, sessionPresent, sessionExpirySeconds, will } = event
  const user = client.username === undefined ? '' : `, u'${client.username}'`
  const details = `p${client.protocolVersion}, c${cleanStart ? 1 : 0}, k${keepAliveSeconds}${user}`
  const message = `New client connected from ${client.remoteAddress || 'a unix socket'} as ${client.clientId} (${details}).`
  logger.log('notice', 'client.connected', message, {
    ...fieldsOf(client),
    protocolVersion: client.protocolVersion,
    cleanStart,
    sessionPresent,
    keepAliveSeconds,
    sessionExpirySeconds,
    will: will !== null,
  })
}

function disconnected(logger: Logger, event: BrokerEvents['client.disconnected']): void {
  const { client, byClient, reasonCode, why } = event
  let message = `Client ${client.clientId} disconnected: ${why} (${hex(reasonCode)}).`
  if (byClient && reasonCode === ReasonCode.NormalDisconnection) message = `Client ${client.clientId} disconnected.`
  else if (reasonCode === ReasonCode.KeepAliveTimeout) {
    message = `Client ${client.clientId} has exceeded timeout, disconnecting.`
  }
  logger.log('notice', 'client.disconnected', message, { ...fieldsOf(client), byClient, reasonCode, why })
}

/** Per message, or of no interest but in the search for a fault. */
function details(logger: Logger): Observer {
  return {
    'listener.started': ({ listener, address, transport }) => {
      const by = transport === 'handle' ? "Node's handles" : 'net.Socket'
      logger.log('debug', 'listener.transport', `Connections on ${address} are read and written by ${by}.`, {
        listener,
        address,
        transport,
      })
    },
    'will.published': ({ clientId, topic }) =>
      logger.log('debug', 'will.published', `Publishing the Will of ${clientId} to '${topic}'.`, { clientId, topic }),
    'message.published': ({ client, message }) => {
      const { topic, qos, retain } = message
      const bytes = message.payloadEnd - message.payloadStart
      const clientId = client?.clientId ?? null
      const from = clientId ?? 'this program'
      const details = `q${qos}, r${retain ? 1 : 0}, '${topic}', ... (${bytes} bytes)`
      logger.log('debug', 'message.published', `Received PUBLISH from ${from} (${details})`, {
        clientId,
        topic,
        qos,
        retain,
        payloadBytes: bytes,
      })
    },
  }
}

const hex = (reasonCode: number): string => `0x${reasonCode.toString(16).toUpperCase().padStart(2, '0')}`
