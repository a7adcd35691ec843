/**
 * The state of the model: sessions (one `ModelSession` from the CONNECT that makes it to its end), Network Connections,
 * published messages and the subscribers that are owed them.
 *
 * Every change has the number of the event that made it (`seq`). After a crash the disk holds the state at one such
 * number, and later changes that the broker has promised by an acknowledgement.
 */
import type { Sequence } from './order.ts'
import type { ConnectIn, FilterIn, ListenerSettings, QoS, WillMessage } from './types.ts'
import type { Due } from './wills.ts'

/** One publication. A PUBLISH that is sent again at QoS 1 is another one. */
export class Publication {
  readonly index: number
  readonly topic: string
  readonly payload: string
  /** `keyOf` it, made once: payloads may be long. */
  readonly key: string
  readonly qos: QoS
  readonly retain: boolean
  readonly passedOn: string
  /** What else it may be passed on with: its publisher has published it again with another protocol version. */
  readonly alsoPassedOn: Set<string> = new Set()
  /** Infinity: never. */
  readonly expiresAtMs: number
  readonly publisher: ModelSession | null
  readonly publisherId: string
  /** The user as whom it was published. */
  readonly username: string
  /** Rights to have published it are asked about when it is sent as a retained message. */
  readonly hasSource: boolean
  readonly seq: number
  readonly atMs: number
  /** When it was published last: a QoS 2 message may be, once more, when a crash has lost it. */
  publishedSeq: number
  /** PUBACK or PUBREC has left: it must not be lost any more. */
  isAcknowledged = false
  /** Refused: nobody may get it. */
  isRefused = false
  /** Whether a subscriber matched. */
  hasMatches = false
  /** Whether somebody has subscribed who does not get it, for No Local. */
  hasNoLocal = false
  /** Whether somebody has subscribed who may not receive it. */
  hasDenied = false
  /** Reason Code with which the embedding program has withheld it; null: it has not. */
  withheld: number | null = null
  /** Whether it is a Will: no client is told that it is safe. */
  isWill = false
  /** Whether it stands for a delayed message until that is published: nobody gets it. */
  isDelayed = false
  /** Whether a QoS 2 publisher has published it again after a crash: its expiry may count from then. */
  wasPublishedAgain = false
  /** Certificate that the broker has kept it as; null: it is no birth of Sparkplug. */
  certificate: Publication | null = null
  /** Whether its topic begins with `$delayed/` and is malformed. */
  isMalformed = false
  readonly expectations: Expectation[] = []
  readonly groups: GroupDue[] = []

  constructor(
    o: Omit<
      Publication,
      | 'key'
      | 'alsoPassedOn'
      | 'isPassedOnWith'
      | 'publishedSeq'
      | 'isAcknowledged'
      | 'isRefused'
      | 'hasMatches'
      | 'hasNoLocal'
      | 'hasDenied'
      | 'withheld'
      | 'isWill'
      | 'isDelayed'
      | 'wasPublishedAgain'
      | 'certificate'
      | 'isMalformed'
      | 'expectations'
      | 'groups'
    >,
  ) {
    this.index = o.index
    this.topic = o.topic
    this.payload = o.payload
    this.key = keyOf(o)
    this.qos = o.qos
    this.retain = o.retain
    this.passedOn = o.passedOn
    this.expiresAtMs = o.expiresAtMs
    this.publisher = o.publisher
    this.publisherId = o.publisherId
    this.username = o.username
    this.hasSource = o.hasSource
    this.seq = o.seq
    this.atMs = o.atMs
    this.publishedSeq = o.seq
  }

  isPassedOnWith(passedOn: string): boolean {
    return passedOn === this.passedOn || this.alsoPassedOn.has(passedOn)
  }
}

/** Message Expiry Interval of a PUBLISH, sent at `sinceMs` at the earliest and at `nowMs` at the latest. */
export interface ToldExpiry {
  /** null: the PUBLISH has none. */
  readonly seconds: number | null
  readonly nowMs: number
  readonly sinceMs: number
}

export type Progress = 'pending' | 'sent' | 'received' | 'released' | 'done' | 'cancelled'

/** One message that one session may get, and most often must. */
export class Expectation {
  readonly publication: Publication
  readonly session: ModelSession
  readonly qos: QoS
  readonly retain: boolean
  readonly identifiers: string
  readonly group: GroupDue | null
  /** The subscription that asked for a retained message, or took the place of that one. */
  forSubscription: Subscription | null
  /** The connection that it was made on. */
  readonly madeOn: ModelConnection | null
  readonly seq: number
  /** When a subscription asked for a retained message. */
  askedMs = 0
  /** A retained message as each of the subscriptions wants it that took the place of each other: one of these comes. */
  alternatives: Expectation[] | null = null
  progress: Progress = 'pending'
  /** Not owed: it may come or not. */
  isOptional = false
  /** Whether it may wait in the queue at QoS 0, which may be on the disk. */
  mayWait = false
  /** After a crash the broker may have forgotten that it has sent it. */
  mayComeAgain = false
  /** Whether it was sent at least once. */
  wasSent = false
  /** Whether it was sent last while the disk failed. */
  wasSentUnsafely = false
  /** When it was sent last. */
  sentSeq = 0
  /** When it was sent as new with its Packet Identifier: flows go on in this order. [MQTT-4.6.0-1] */
  begunSeq = 0
  sentMs = 0
  /** What its last PUBLISH has told; null when its client does not see it. */
  told: ToldExpiry | null = null
  /** Whether it was in flight, and must not be sent again: PUBREL follows, though no PUBREC has come. */
  isGivenUp = false
  /** Number of times that it was sent as new: more than once after a crash, or for another one of the same content. */
  timesSent = 0
  /** When the subscriptions that it was for were withdrawn; null: they were not. */
  withdrawnMs: number | null = null
  /** Whether it has gone from this member, in flight, to its group: the client was back, and was not to have it any more. */
  wasGivenUp = false
  /** When it went, or may have gone, from this member to another one of its group; 0: it did not. */
  passedOnSeq = 0
  /** Given to this member when another one's session ended. */
  isRedistributed = false
  packetId = 0
  /** The last connection that it was sent on. */
  sentOn: ModelConnection | null = null
  receivedSeq = 0
  doneSeq = 0

  constructor(
    publication: Publication,
    session: ModelSession,
    qos: QoS,
    retain: boolean,
    identifiers: string,
    seq: number,
    group: GroupDue | null,
    forSubscription: Subscription | null,
  ) {
    this.publication = publication
    this.session = session
    this.qos = qos
    this.retain = retain
    this.identifiers = identifiers
    this.seq = seq
    this.group = group
    this.forSubscription = forSubscription
    this.madeOn = session.connection
  }

  /** Takes the place of another one: this one was sent, not the other. */
  takePlaceOf(other: Expectation): void {
    const { session, packetId } = other
    if (session.flight.get(packetId) === other) session.flight.set(packetId, this)
    this.progress = other.progress
    this.wasSent = other.wasSent
    this.timesSent = other.timesSent
    this.sentSeq = other.sentSeq
    this.begunSeq = other.begunSeq
    this.sentMs = other.sentMs
    this.told = other.told
    this.mayComeAgain = other.mayComeAgain
    this.packetId = packetId
    this.sentOn = other.sentOn
    this.receivedSeq = other.receivedSeq
    this.doneSeq = other.doneSeq
    other.progress = 'pending'
    other.wasSent = false
    other.timesSent = 0
    other.mayComeAgain = false
  }

  /**
   * Exchanges two of the same topic, payload and QoS, because nothing tells which of them was sent when: it was the
   * other one.
   */
  swapWith(other: Expectation): void {
    const { flight } = this.session
    const mine = flight.get(this.packetId) === this
    const others = flight.get(other.packetId) === other
    const { progress, wasSent, timesSent, sentSeq, begunSeq, sentMs, told, mayComeAgain } = this
    const { packetId, sentOn, receivedSeq, doneSeq } = this
    this.takePlaceOf(other)
    Object.assign(other, {
      progress,
      wasSent,
      timesSent,
      sentSeq,
      begunSeq,
      sentMs,
      told,
      mayComeAgain,
      packetId,
      sentOn,
      receivedSeq,
      doneSeq,
    })
    if (mine) flight.set(other.packetId, other)
    if (others) flight.set(this.packetId, this)
    for (const each of [this, other]) {
      if (each.group === null) continue
      if (each.wasSent) each.group.takenBy = each
      else if (each.group.takenBy === each) each.group.takenBy = null
    }
  }

  /** Whether it was sent at QoS 1 and is not acknowledged. */
  get isUnacknowledged(): boolean {
    return this.qos === 1 && this.progress === 'sent'
  }

  /** Whether two of the same topic and payload are the same to their client. */
  looksLike(other: Expectation): boolean {
    const { session, qos, retain, identifiers, publication } = this
    return (
      other !== this &&
      other.session === session &&
      other.qos === qos &&
      other.retain === retain &&
      (!session.isV5 || (other.identifiers === identifiers && other.publication.passedOn === publication.passedOn))
    )
  }

  get isOver(): boolean {
    return this.progress === 'done' || this.progress === 'cancelled'
  }

  /** Whether it may be sent, as far as its own session goes. */
  get mayBeSent(): boolean {
    const { progress, mayComeAgain } = this
    return progress === 'pending' || (mayComeAgain && (progress === 'done' || progress === 'sent'))
  }

  /** Whether it may be sent, and no other member of its Shared Subscription has it. */
  get isOpen(): boolean {
    const { group, mayBeSent } = this
    if (!mayBeSent) return false
    return group === null || group.takenBy === null || group.takenBy === this || this.#mayBeInherited(group.takenBy)
  }

  /**
   * Whether the other member may have it because this one's session has ended with it in flight. What the broker has
   * written to a client leaves at the end of the turn, and what the embedding program inherits comes at once. QoS 2 in
   * flight is not inherited [MQTT-4.8.2-5].
   */
  #mayBeInherited(taken: Expectation): boolean {
    const { session, qos } = this
    return qos === 1 && session.isOver && taken.sentSeq > session.toSeq
  }
}

/** A message for a Shared Subscription: one of the members gets it. */
export class GroupDue {
  readonly publication: Publication
  readonly shareName: string
  readonly filter: string
  takenBy: Expectation | null = null
  isOptional = false
  constructor(publication: Publication, shareName: string, filter: string) {
    this.publication = publication
    this.shareName = shareName
    this.filter = filter
  }
}

export interface Subscription {
  readonly topicFilter: string
  readonly shareName: string | null
  /** Without `$share`. */
  readonly filter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly identifier: number
  readonly fromSeq: number
  /** SUBACK has left. */
  isPromised: boolean
  /** Infinity: it is there. */
  toSeq: number
  /** UNSUBACK, or the SUBACK of what replaced it, has left. */
  isEndPromised: boolean
}

/** The id of a QoS 2 message that a publisher has not released. */
export interface Held {
  readonly publication: Publication
  /** As its client has sent it; the topic with the mount point. */
  readonly topic: string
  readonly payload: string
  readonly seq: number
  /** Infinity: held. */
  releasedSeq: number
  /** Connection on which its PUBLISH last came, and uses quota; null when it uses none. */
  connection: ModelConnection | null
  /** Mount point of the connection on which it came first. */
  readonly mountPoint: string
  isReleasePromised: boolean
  /** After a crash: the broker may have forgotten it, if nobody durable has the message and it is not retained. */
  isUncertain: boolean
}

/** A value and the event that made it so. */
export interface Noted<T> {
  readonly seq: number
  readonly value: T
}

/** The last value that was so at an event. */
export function valueAt<T>(log: readonly Noted<T>[], seq: number): T | undefined {
  for (let i = log.length - 1; i >= 0; i--) if (log[i]!.seq <= seq) return log[i]!.value
  return undefined
}

/** The Will of a session that the broker keeps. `dueAtMs` Infinity: the client is connected. */
export interface KeptWill {
  readonly will: WillMessage
  /** The user who has left it. */
  readonly username: string
  readonly dueAtMs: number
}

/** When a connection was lost. Of one that was open at a crash nobody knows exactly. */
export interface Away {
  readonly earliestMs: number
  readonly latestMs: number
}

/** One session, from the CONNECT that makes it to its end. */
export class ModelSession {
  clientId: string
  /** Kept on disk. */
  readonly isDurable: boolean
  readonly fromSeq: number
  toSeq: number = Number.POSITIVE_INFINITY
  connection: ModelConnection | null = null
  /** Connection of a client whose CONNACK waits for the disk. */
  opening: ModelConnection | null = null
  /** Number of the event whose state a CONNACK promises: the session, that it is connected, its Will. */
  promisedSeq = 0
  /** Each connection so far was MQTT 5.0: its client sees properties. */
  isV5 = true
  /** Maximum Packet Size of its last connection. */
  maximumPacketSize: number = Number.POSITIVE_INFINITY
  mountPoint = ''
  username = ''
  connect: ConnectIn | null = null
  listener = 0
  readonly expirySeconds: Noted<number>[] = []
  /** When the connection was lost; null: connected. */
  readonly away: Noted<Away | null>[] = []
  readonly keptWill: Noted<KeptWill | null>[] = []
  /** The user who has made it; null: nobody knows, or asks. */
  readonly owners: Noted<string | null>[] = []
  subscriptions: Subscription[] = []
  /** Expectations by Topic Name and payload, in the order of publication. */
  readonly expectations: Map<string, Expectation[]> = new Map()
  readonly flight: Map<number, Expectation> = new Map()
  /** Packet ids of QoS 1 messages that the broker may have forgotten in a crash. */
  readonly forgottenIds: Set<number> = new Set()
  readonly held: Map<number, Held> = new Map()
  /** Unacknowledged messages of the client, by Packet Identifier, with their connection. */
  readonly fromClient: Map<number, { key: string; qos: QoS; connection: ModelConnection }> = new Map()
  /** PUBRECs that came for unknown messages: PUBREL may answer. */
  readonly strayPubrecs: Map<number, number> = new Map()
  /** A connection has ended with a slow reader: what the broker had sent on it may never have left. */
  wasBlocked = false
  /**
   * Count of QoS 2 messages that were given up before they were seen to leave, though the broker may take them for sent (a crash, a slow
   * reader): PUBREL may follow; and the packet ids of those of which it has.
   */
  readonly givenUp: { count: number; readonly packetIds: Set<number> } = { count: 0, packetIds: new Set() }
  /** Messages that have been sent for the first time, by publisher, topic and QoS. */
  readonly firstSent: Map<string, Sequence> = new Map()
  /** Messages that the broker has said to have dropped, by topic and QoS. */
  readonly drops: Map<string, number> = new Map()
  /** A gated acknowledgement has left: it must survive. */
  isPromised = false
  /** A CONNACK waits for its end to be on disk. */
  isEndAwaited = false
  /** Whether that CONNACK has left, so that no crash brings the session back. */
  isEndPromised = false
  /** Whether it came back after its end had been lost in a crash: the messages that it is owed are uncertain. */
  isRevived = false
  /** Whether its client has been there since the broker started: the broker knows its owner. */
  isIdentified = true
  /** Numbers of the events at which the broker has ended, by a crash or in good order. */
  readonly crashSeqs: number[] = []
  /** When it expires at the latest; Infinity: not, or not now. */
  dueAtMs: number = Number.POSITIVE_INFINITY
  /** Whether its time was over when the broker started. */
  isOverdue = false
  /** When it expires at the earliest. After a crash nobody knows exactly when its client was lost. */
  mayExpireAtMs: number = Number.POSITIVE_INFINITY

  constructor(clientId: string, isDurable: boolean, seq: number, expirySeconds: number) {
    this.clientId = clientId
    this.isDurable = isDurable
    this.fromSeq = seq
    this.expirySeconds.push({ seq, value: expirySeconds })
  }

  get crashes(): number {
    return this.crashSeqs.length
  }

  get lastCrashSeq(): number {
    return this.crashSeqs.at(-1) ?? 0
  }

  /** Whether the broker has ended between two events. */
  hasCrashedBetween(one: number, other: number): boolean {
    const [first, last] = one < other ? [one, other] : [other, one]
    return this.crashSeqs.some((seq) => first < seq && seq < last)
  }

  /**
   * Returns, of two QoS 2 flows with one Packet Identifier, the one whose end was lost in a crash, after which another
   * message got the identifier.
   */
  releasedWith(packetId: number): Expectation | undefined {
    if (this.crashes === 0) return undefined
    for (const list of this.expectations.values())
      for (const each of list)
        if (each.qos === 2 && each.packetId === packetId && each.progress === 'released') return each
    return undefined
  }

  /** PUBREC has come for a message with this packet id, at whatever time. */
  hasReceived(packetId: number): boolean {
    for (const list of this.expectations.values())
      for (const each of list) if (each.qos === 2 && each.packetId === packetId && each.receivedSeq > 0) return true
    return false
  }

  get isOver(): boolean {
    return this.toSeq !== Number.POSITIVE_INFINITY
  }

  get owner(): string | null {
    return this.owners.at(-1)?.value ?? null
  }

  get expiry(): number {
    return this.expirySeconds[this.expirySeconds.length - 1]!.value
  }

  get liveSubscriptions(): Subscription[] {
    return this.subscriptions.filter(({ toSeq }) => toSeq === Number.POSITIVE_INFINITY)
  }

  add(expectation: Expectation): void {
    const { key } = expectation.publication
    const list = this.expectations.get(key)
    if (list === undefined) this.expectations.set(key, [expectation])
    else list.push(expectation)
    expectation.publication.expectations.push(expectation)
  }
}

export function keyOf({ topic, payload }: { topic: string; payload: string }): string {
  return `${topic}\n${payload}`
}

/** An answer that the broker owes. */
export interface Owed {
  readonly type: string
  readonly packetId: number
  readonly publication: Publication | null
  readonly held: Held | null
  readonly subscriptions: readonly Subscription[]
  readonly ended: readonly Subscription[]
  /** Reason Codes of SUBACK and UNSUBACK. */
  readonly reasonCodes: readonly number[]
  /** Right Reason Codes for a PUBLISH; set when the message has been judged. */
  allowed: readonly number[]
}

/** Session as a CONNECT has changed it, for the case that its client is not let in. */
export interface Opening {
  readonly session: ModelSession
  readonly isNew: boolean
  readonly earlierExpiry: number
  readonly earlierOwner: string | null
  readonly suspended: readonly Due[]
}

/** One Network Connection. */
export class ModelConnection {
  readonly name: string
  /** waiting: for what its CONNACK promises to be on disk. */
  state: 'new' | 'waiting' | 'open' | 'refused' | 'closed' = 'new'
  connect: ConnectIn | null = null
  /** Whether its CONNECT had no Client Identifier. */
  isUnnamed = false
  session: ModelSession | null = null
  /** Whether its CONNACK has waited for what it promises. */
  hasWaited = false
  /** True for the embedding program with a durable subscription, for which no limit of clients applies. */
  isProgram = false
  /** While its CONNACK waits. */
  opening: Opening | null = null
  sessionPresent = false
  /** Reason Codes with which the broker may refuse it. */
  refusals: number[] = []
  isConnackSent = false
  will: WillMessage | null = null
  /** Reasons why the broker may end it. Which of several comes first is open. */
  readonly mayEnd: Set<string> = new Set()
  readonly owed: Owed[] = []
  /** Subscriptions that the broker is about to make by itself, in their order. */
  readonly autosDue: FilterIn[] = []
  readonly outstanding: Set<number> = new Set()
  readonly aliasesIn: Map<number, string> = new Map()
  readonly aliasesOut: Map<number, string> = new Map()
  /** Messages that have been sent on it, by publisher, topic and QoS. */
  readonly sent: Map<string, Sequence> = new Map()
  /** Unacknowledged QoS 1 and 2 messages of the client. */
  unacknowledged = 0
  /** When the last byte came, and the last whole packet. */
  lastReceivedMs = 0
  lastPacketMs = 0
  /** The transport holds what the broker writes since then; -1: it does not. */
  blockedSinceMs = -1
  wasBlocked = false
  /** A decision is awaited: the broker does not read. */
  isWaiting = false
  /** Rate limits hold it back: its own until then at least, those of its listener until the broker reads it again. */
  heldUntilMs = 0
  isHeld = false
  /** The broker has published its Will in this turn, and must be about to end it. */
  isWillOut = false
  /** The broker may have dropped its Will in this turn, for want of rights. */
  mayHaveLostWill = false
  /** The topic of a Will that it may not leave: the broker says that it drops it. '': none. */
  withheldTopic = ''

  /** When what its client has logged in with ends; Infinity: never. */
  credentialsEndMs: number = Number.POSITIVE_INFINITY

  /** When its CONNECT was taken in. */
  connectedSeq = 0
  readonly openedMs: number
  readonly listener: number
  readonly settings: ListenerSettings

  constructor(name: string, nowMs: number, listener: number, settings: ListenerSettings) {
    this.name = name
    this.listener = listener
    this.settings = settings
    this.openedMs = nowMs
    this.lastReceivedMs = nowMs
    this.lastPacketMs = nowMs
  }

  get isV5(): boolean {
    return this.connect?.version === 5
  }

  /**
   * Whether its reader was slow: packets sent to it before the end leave now, and may have been sent again elsewhere.
   */
  get speaksLate(): boolean {
    return this.state === 'closed' && this.session?.connection !== this && this.wasBlocked
  }
}
