/**
 * A PUBLISH to `$CONTROL/…` that a controller in this process takes for a command (`Controller`): it is handed over,
 * answered when it has been carried out, and goes to no subscriber, into no queue and onto no disk, because it may
 * contain passwords.
 *
 * `handlePublish` asks for each PUBLISH below `$CONTROL/`. Invariants: the authorizer has allowed a command before it
 * is handed over; one command of a connection is under way at a time; RETAIN means nothing.
 */
import { PacketType, type Publish, ReasonCode } from '@recado/protocol'
import { ALLOW, type ClientInfo, type Controller, PENDING } from '../../ports.ts'
import type { Context } from '../base/context.ts'
import { copyOf } from '../base/payload-blocks.ts'
import type { Session } from '../session/session.ts'
import type { AcknowledgementLine } from './acknowledgement-line.ts'

/** The connection whose client sends a command. */
export interface ControllingConnection extends ClientInfo {
  readonly context: Context
  readonly parts: { readonly controllers: ReadonlyMap<string, Controller> }
  readonly session: Session | null
  readonly acknowledgements: AcknowledgementLine
  readonly readGate: { pause(): void }
  /** Runs the consequences of a late decision. */
  decided(action: () => void): void
}

/** Handles a command. Returns true when a controller takes it, and it is answered when that is done. */
export function handleControl(connection: ControllingConnection, publish: Publish, topic: string): boolean {
  const { context, parts } = connection
  const { controllers } = parts
  const controller =
    controllers.get(topic) ?? (topic.startsWith('$CONTROL/') ? controllers.get('$CONTROL/#') : undefined)
  if (controller === undefined) return false
  const command = new Command(connection, controller, publish, topic)
  const { authorizer } = context
  const verdict =
    authorizer === null
      ? ALLOW
      : authorizer.publish(connection, topic, publish.qos, publish.retain, (late) =>
          connection.decided(() => command.decided(late)),
        )
  if (verdict === PENDING) command.wait()
  else command.decided(verdict)
  return true
}

class Command {
  readonly #connection: ControllingConnection
  readonly #controller: Controller
  readonly #topic: string
  readonly #payload: Uint8Array
  readonly #qos: 0 | 1 | 2
  readonly #packetId: number

  constructor(connection: ControllingConnection, controller: Controller, publish: Publish, topic: string) {
    const { buffer, payloadStart, payloadEnd, qos, packetId } = publish
    this.#connection = connection
    this.#controller = controller
    this.#topic = topic
    this.#payload = copyOf(buffer, payloadStart, payloadEnd)
    this.#qos = qos
    this.#packetId = packetId
  }

  /** The connection is not read before the next `decided`. */
  wait(): void {
    // Should the connection be lost meanwhile, it is new when it comes again.
    if (this.#qos === 2) this.#connection.session!.undecidedPacketId = this.#packetId
    this.#connection.readGate.pause()
  }

  decided(verdict: number): void {
    const connection = this.#connection
    if (verdict !== ALLOW) {
      connection.context.dropped(connection.clientId, this.#topic, this.#qos, 'not-authorized')
      this.#answer(verdict)
      return
    }
    this.wait()
    this.#controller.handle(connection, this.#topic, this.#payload, (reasonCode) =>
      connection.decided(() => this.#answer(reasonCode)),
    )
  }

  #answer(reasonCode: number): void {
    const { session, acknowledgements, protocolVersion } = this.#connection
    session!.undecidedPacketId = 0
    if (this.#qos === 0) return
    // A PUBREC that refuses frees the packet id.
    if (this.#qos === 2 && reasonCode >= ReasonCode.UnspecifiedError && protocolVersion === 5)
      session!.receiver.acknowledged(this.#packetId, 2, true)
    acknowledgements.acknowledge(
      this.#qos === 1 ? PacketType.PUBACK : PacketType.PUBREC,
      this.#packetId,
      reasonCode as ReasonCode,
    )
  }
}
