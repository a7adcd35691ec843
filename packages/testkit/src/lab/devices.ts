/**
 * The device of a cell: a client of one library, as a process on the device's host, that publishes what it is told and
 * says what it gets.
 *
 * All but Mosquitto's are programs that take `HOST PORT CA|- ID QOS KEEP_ALIVE TOPIC`, publish the lines of their
 * standard input to TOPIC/up, and print `connected`, `subscribed`, `lost` and `got PAYLOAD`. Mosquitto's clients are two
 * processes, and tell of their connections by `-d`, but not of their losses. Invariant: `kill` ends all of it without a goodbye.
 */
import { fileURLToPath } from 'node:url'
import { Child } from '../peers/child.ts'
import { peerPath, skipWithout } from '../peers/find.ts'
import { argumentsOf, type DeviceArguments } from './device-lines.ts'
import type { LabLine, LabPrograms } from './line.ts'

export const deviceNames = ['recado', 'mosquitto', 'paho-c', 'paho-python', 'mqttjs'] as const
export type DeviceName = (typeof deviceNames)[number]

export interface DeviceOptions extends DeviceArguments {
  /** Variables of its process, for a clock of its own. */
  readonly environment: Readonly<Record<string, string>>
}

/** Called as things happen. */
export interface DeviceEvents {
  onConnected(): void
  onSubscribed(): void
  onLost(): void
  onMessage(payload: string): void
  /** Called when a process of it ends by itself. */
  onDeath(what: string): void
}

export interface Device {
  publish(payload: string): void
  kill(): Promise<void>
}

/** Reason why a device cannot be made here, or `false`. */
export function skipWithoutDevice(name: DeviceName): string | false {
  if (name === 'mosquitto') return skipWithout('mosquitto_pub', 'mosquitto_sub')
  return name === 'paho-c' || name === 'paho-python' ? skipWithout(name) : false
}

export function startDevice(
  name: DeviceName,
  options: DeviceOptions,
  events: DeviceEvents,
  line: LabLine,
  programs: LabPrograms,
): Device {
  if (name === 'mosquitto') return new MosquittoDevice(options, events, line)
  const commands = {
    recado: (): string[] => [process.execPath, here('device-recado.js')],
    mqttjs: (): string[] => [process.execPath, here('device-mqttjs.js')],
    'paho-c': (): string[] => [programs.path('lab_device')],
    // -B: leave no __pycache__ behind in the checkout.
    'paho-python': (): string[] => [peerPath('paho-python'), '-B', here('../../peers/lab_device.py')],
  }
  return new ProgramDevice(commands[name](), options, events, line)
}

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

class ProgramDevice implements Device {
  readonly #child: Child

  constructor([program, ...args]: readonly string[], options: DeviceOptions, events: DeviceEvents, line: LabLine) {
    const command = line.commandFor(program!, [...args, ...argumentsOf(options)])
    this.#child = startChild(command, options.environment, events, (text) => {
      const space = text.indexOf(' ')
      const word = space < 0 ? text : text.slice(0, space)
      if (word === 'got') events.onMessage(text.slice(space + 1))
      else if (word === 'connected') events.onConnected()
      else if (word === 'subscribed') events.onSubscribed()
      else if (word === 'lost') events.onLost()
      // Anything else is a log line of the library; it stays in the child's log.
    })
  }

  publish(payload: string): void {
    this.#child.write(`${payload}\n`)
  }

  async kill(): Promise<void> {
    await this.#child.stop('SIGKILL')
  }
}

/** Mosquitto's own clients: `mosquitto_pub -l`, and `mosquitto_sub`, whose connection is the device's. */
class MosquittoDevice implements Device {
  readonly #publisher: Child
  readonly #subscriber: Child

  constructor(options: DeviceOptions, events: DeviceEvents, line: LabLine) {
    const { host, port, ca, clientId, qos, keepAliveSeconds, topic, environment } = options
    const own = (id: string): string[] => {
      const common = ['-h', host, '-p', port, '-i', id, '-q', qos, '-k', keepAliveSeconds, '-c', '-V', 'mqttv311', '-d']
      return [...common.map(String), ...(ca === null ? [] : ['--cafile', ca])]
    }
    const will = ['--will-topic', `${topic}/gone`, '--will-payload', 'gone', '--will-qos', '1']
    const subscribe = [...own(clientId), ...will, '-t', `${topic}/down`, '-F', 'got %p']
    let isPublisherConnected = false
    let isSubscribed = false
    let hasTold = false
    // The device is ready when both are: what goes to mosquitto_pub before that is not sent.
    const tellSubscribed = (): void => {
      if (hasTold || !isPublisherConnected || !isSubscribed) return
      hasTold = true
      events.onSubscribed()
    }
    this.#subscriber = startChild(
      // Without stdbuf it keeps lines until it has many of them.
      line.commandFor('stdbuf', ['-oL', peerPath('mosquitto_sub'), ...subscribe]),
      environment,
      events,
      (text) => {
        if (text.startsWith('got ')) events.onMessage(text.slice(4))
        else if (text.endsWith('received CONNACK (0)')) {
          // It tells of no loss: the next connection is all that is heard of one.
          events.onConnected()
        } else if (text.endsWith('received SUBACK')) {
          isSubscribed = true
          tellSubscribed()
        }
      },
    )
    this.#publisher = startChild(
      line.commandFor('stdbuf', [
        '-oL',
        peerPath('mosquitto_pub'),
        ...own(`${clientId}-pub`),
        '-t',
        `${topic}/up`,
        '-l',
      ]),
      environment,
      events,
      (text) => {
        if (!text.endsWith('received CONNACK (0)')) return
        isPublisherConnected = true
        tellSubscribed()
      },
    )
  }

  publish(payload: string): void {
    this.#publisher.write(`${payload}\n`)
  }

  async kill(): Promise<void> {
    await Promise.all([this.#publisher.stop('SIGKILL'), this.#subscriber.stop('SIGKILL')])
  }
}

function startChild(
  command: [string, string[]],
  environment: Readonly<Record<string, string>>,
  events: DeviceEvents,
  onLine: (line: string) => void,
): Child {
  const child = new Child(...command, { onLine, environment })
  child.exited.then(
    ({ code, signal }) => {
      // A signal is `kill`.
      if (signal === null) events.onDeath(`ended with ${code}\n${child.describe()}`)
    },
    (error: Error) => events.onDeath(`cannot be started: ${error.message}`),
  )
  return child
}
