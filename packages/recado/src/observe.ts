/**
 * Events of the broker as log lines: an `Observer` that calls the `Logger`, in Mosquitto's words where it has some.
 *
 * `serve.ts` passes it to the broker. Invariants: an event is not even observed when its type is not logged, so that a
 * quiet log costs nothing; nothing per message above `debug`; dropped messages are summed up per client (`DropSums`).
 */
import type { BrokerEvents, ClientInfo, Observer } from '@recado/broker'
import { PacketType, reasonCodeName } from '@recado/protocol'
import type { DropSums } from './drop-sums.ts'
import { receivedLines, sentLine } from './log/packet-lines.ts'
import { hex } from './log/recado-words.ts'
import { shortName, shortTopic } from './log/shortened.ts'
import { LOG_TOPICS } from './log/topic.ts'
import { type Line, type Words, wordsFor } from './log/words.ts'
import type { LogFields, Logger } from './log.ts'
import { stackOf } from './stack.ts'

const DAMAGED_ROWS_TOLD = 10
/** Effects of `memory_limit`, by level. */
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
 * @param connectionMessages whether to log connects and disconnects @param drops sums that are kept over several
 * observers @param onFatal called when the broker cannot keep its promise any more: the process has to end
 */
export function observerFor(
  logger: Logger,
  connectionMessages: boolean,
  onFatal: () => void,
  drops: DropSums,
): Observer {
  const words = wordsFor(logger.style)
  const observer: Observer = {
    'session.ended': ({ clientId, why }) => {
      if (why === 'expired') {
        logger.log('notice', 'session.ended', `Expiring client ${shortName(clientId)} due to timeout.`, {
          clientId,
          why,
        })
      } else {
        logger.log('debug', 'session.ended', `Session of ${shortName(clientId)} ended: ${why}.`, { clientId, why })
      }
    },
    'message.dropped': (event) => {
      // Of a line of the log, to tell of it would be the next line.
      if (!event.topic.startsWith(LOG_TOPICS)) drops.add(event)
    },
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
      logger.log('error', 'hook.failed', `${hook} failed: ${stackOf(error)}`, { hook })
    },
    'core.failed': ({ where, clientId, error, isFatal }) => {
      const ended = clientId === '' ? 'what it was doing is given up' : `the connection of ${shortName(clientId)} ends`
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
        `Subscription of ${shortName(client.clientId)} to ${shortTopic(topicFilter)} has ended: it is not allowed any more (${hex(reasonCode)}).`,
        { ...fieldsOf(client), topicFilter, reasonCode },
      )
  }
  if (connectionMessages) Object.assign(observer, connections(logger, words))
  if (logger.has('subscribe') || logger.has('debug')) {
    observer['subscription.made'] = ({ client, topicFilter, qos, reasonCode }) => {
      const { clientId } = client
      logger.log('debug', 'subscription.asked', `\t${shortTopic(topicFilter)} (QoS ${qos})`, {
        clientId,
        topicFilter,
        qos,
      })
      const granted = reasonCode < 0x80 ? `${qos}` : `refused (${reasonCodeName(reasonCode)})`
      logger.log('subscribe', 'subscription.made', `${shortName(clientId)} ${granted} ${topicFilter}`, {
        ...fieldsOf(client),
        topicFilter,
        qos,
        reasonCode,
      })
    }
  }
  if (logger.has('unsubscribe') && !logger.has('debug')) {
    observer['subscription.ended'] = ({ client, topicFilter }) => unsubscribed(logger, client, topicFilter)
  }
  if (logger.has('debug')) Object.assign(observer, details(logger, words))
  return observer
}

function unsubscribed(logger: Logger, client: ClientInfo, topicFilter: string): void {
  const fields = { ...fieldsOf(client), topicFilter }
  logger.log('unsubscribe', 'subscription.ended', `${shortName(client.clientId)} ${topicFilter}`, fields)
}

/** Observes the store. `store.loaded` and `store.quarantined` belong to the start and are logged by `serve.ts`. */
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

function connections(logger: Logger, words: Words): Observer {
  const has = (lines: readonly Line[]): boolean => lines.some(({ type }) => logger.has(type))
  const say = (event: string, lines: readonly Line[], fields: LogFields): void => {
    if (has(lines)) for (const { type, text } of lines) logger.log(type, event, text, fields)
  }
  const takenOver: Observer = {
    'session.taken-over': (event) => say('session.taken-over', words.takenOver(event), event),
  }
  if (!logger.has('notice') && !logger.has('information')) {
    const { style, mosquittoVersion } = logger.style
    // An error in the eyes of 2.0.
    return logger.has('error') && style === 'mosquitto' && mosquittoVersion === '2.0' ? takenOver : {}
  }
  const observer: Observer = {
    ...takenOver,
    'connection.refused': (event) => say('connection.refused', words.refused(event), event),
    'connection.failed': (event) => say('connection.failed', words.failed(event), event),
    'client.disconnected': (event) => {
      const { client, byClient, reasonCode, why } = event
      say('client.disconnected', words.disconnected(event), { ...fieldsOf(client), byClient, reasonCode, why })
    },
  }
  if (!logger.has('notice')) return observer
  observer['connection.opened'] = (event) =>
    logger.log('notice', 'connection.opened', words.connectionOpened(event), event)
  observer['client.connected'] = (event) => {
    const { client, cleanStart, keepAliveSeconds, sessionPresent, sessionExpirySeconds, will } = event
    logger.log('notice', 'client.connected', words.connected(event), {
      ...fieldsOf(client),
      protocolVersion: client.protocolVersion,
      cleanStart,
      sessionPresent,
      keepAliveSeconds,
      sessionExpirySeconds,
      will: will !== null,
    })
    if (logger.has('debug')) sayWill(logger, event)
  }
  return observer
}

function sayWill(logger: Logger, { client, will }: BrokerEvents['client.connected']): void {
  const { clientId } = client
  if (will === null) {
    logger.log('debug', 'client.will', 'No will message specified.', { clientId })
    return
  }
  const { payload, retain, qos, topic } = will
  const details = `(${payload.length} bytes) (r${retain ? 1 : 0}, q${qos})`
  logger.log('debug', 'client.will', `Will message specified ${details}.`, { clientId, retain, qos, topic })
  logger.log('debug', 'client.will', `\t${topic}`, { clientId, topic })
}

/** Per packet, or of no interest but in the search for a fault. */
function details(logger: Logger, words: Words): Observer {
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
      logger.log(
        'debug',
        'will.published',
        `Publishing the Will of ${shortName(clientId)} to '${shortTopic(topic)}'.`,
        { clientId, topic },
      ),
    'delayed.published': ({ clientId, topic }) =>
      logger.log(
        'debug',
        'delayed.published',
        `Publishing the delayed message of ${shortName(clientId)} to '${shortTopic(topic)}'.`,
        { clientId, topic },
      ),
    'packet.received': ({ client, packet }) => {
      const { topicFilters, ...fields } = packet
      const { clientId } = client
      for (const text of receivedLines(packet, words.nameOf(client, false))) {
        logger.log('debug', 'packet.received', text, { clientId, ...fields })
      }
      if (packet.type !== PacketType.UNSUBSCRIBE) return
      for (const topicFilter of topicFilters ?? []) {
        logger.log('debug', 'subscription.to-end', `\t${topicFilter}`, { clientId, topicFilter })
        unsubscribed(logger, client, topicFilter)
      }
    },
    'packet.sent': ({ client, packet }) => {
      const { topicFilters: _none, ...fields } = packet
      const isRefused = packet.type === PacketType.CONNACK && packet.reasonCode !== 0
      const text = sentLine(packet, words.nameOf(client, isRefused))
      logger.log('debug', 'packet.sent', text, { clientId: client.clientId, ...fields })
    },
  }
}
