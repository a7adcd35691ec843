/*
 * Values from the command line (`cdk -c NAME=VALUE`) or the file cdk.json, checked.
 *
 * app.ts calls it. Invariant: what is given and not used is an error, so that a misspelt name does not go unnoticed.
 */
import { existsSync, readFileSync } from 'node:fs'
import type { App } from 'aws-cdk-lib'
import type { BrokerOptions } from './broker-stack.ts'
import type { IotCoreOptions } from './iot-core-stack.ts'

const certificateArn = /^arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate\/[\w-]+$/

export class Context {
  readonly #app: App
  readonly #read = new Set<string>()

  constructor(app: App) {
    this.#app = app
  }

  /** Value of a name, or undefined. @throws Error when it is no text */
  #text(name: string): string | undefined {
    this.#read.add(name)
    const value: unknown = this.#app.node.tryGetContext(name)
    if (value === undefined) return undefined
    if (typeof value !== 'string' && typeof value !== 'number') throw new Error(`-c ${name}: it must be a text`)
    if (value === '') throw new Error(`-c ${name}: it is empty. Give a value, or leave it out`)
    return String(value)
  }

  #matching(name: string, pattern: RegExp, sample: string): string | undefined {
    const value = this.#text(name)
    if (value !== undefined && !pattern.test(value)) throw new Error(`-c ${name}=${value}: write it like ${sample}`)
    return value
  }

  #number(name: string, smallest: number, largest: number, usual: number): number {
    const value = this.#text(name)
    if (value === undefined) return usual
    const number = Number(value)
    if (Number.isInteger(number) && number >= smallest && number <= largest) return number
    throw new Error(`-c ${name}=${value}: it must be a whole number from ${smallest} to ${largest}`)
  }

  #file(name: string, what: string): string {
    const path = this.#text(name)
    if (path === undefined) throw new Error(`-c ${name}=FILE is missing: ${what}`)
    if (!existsSync(path)) throw new Error(`-c ${name}=${path}: there is no such file. It is ${what}`)
    return path
  }

  oneOf<Choice extends string>(name: string, choices: readonly [Choice, ...Choice[]]): Choice {
    const value = this.#text(name) ?? choices[0]
    const found = choices.find((choice) => choice === value)
    if (found === undefined) throw new Error(`-c ${name}=${value}: there is ${choices.join(' and ')}`)
    return found
  }

  broker(): BrokerOptions {
    const domainName = this.#matching('domain', /^[a-z0-9-]+(\.[a-z0-9-]+)+$/, 'mqtt.example.org')
    const zone = this.#matching('zone', /^Z[A-Z0-9]+:[a-z0-9.-]+$/, 'Z0123456789ABC:example.org')
    const arn = this.#matching('certificate', certificateArn, 'arn:aws:acm:eu-west-1:123456789012:certificate/…')
    const [zoneId = '', zoneName = ''] = zone?.split(':') ?? []
    if (zone !== undefined && domainName === undefined) throw new Error('-c zone needs -c domain=NAME')
    if (zone !== undefined && domainName !== zoneName && !domainName?.endsWith(`.${zoneName}`)) {
      throw new Error(`-c domain=${domainName}: it is not in the zone ${zoneName}`)
    }
    if (zone === undefined && arn === undefined) {
      throw new Error(
        'TLS needs a certificate: -c domain=mqtt.example.org -c zone=ZONE-ID:example.org makes one, -c certificate=ARN takes one that is there',
      )
    }
    const email = this.#matching('email', /^[^@\s]+@[^@\s]+$/, 'ada@example.org')
    return {
      debFile: this.#file('deb', 'the Debian package for arm64, which "npm run deb -- --arch arm64" makes'),
      instanceType:
        this.#matching('instance', /^[a-z]+\d+g[a-z]*\.[a-z0-9]+$/, 't4g.small (a Graviton)') ?? 't4g.small',
      volumeGibibytes: this.#number('volume', 1, 16_384, 20),
      snapshotsKept: this.#number('snapshots', 1, 1000, 7),
      ...(domainName !== undefined && { domainName }),
      ...(zone !== undefined && { zone: { id: zoneId, name: zoneName } }),
      ...(arn !== undefined && { certificateArn: arn }),
      ...(email !== undefined && { email }),
    }
  }

  iotCore(): IotCoreOptions {
    const email = this.#matching('email', /^[^@\s]+@[^@\s]+$/, 'ada@example.org')
    return {
      thingName: this.#matching('thing', /^[\w-]{1,128}$/, 'house-7') ?? 'raspberry',
      certificateSigningRequest: readFileSync(
        this.#file('csr', 'the request for a certificate that "openssl req -new" makes on the Raspberry Pi'),
        'utf8',
      ),
      ...(email !== undefined && { email }),
    }
  }

  /** @throws Error for a value of `-c` that nothing has asked for */
  refuseUnread(): void {
    const given = Object.keys(this.#app.node.getAllContext()).filter((name) => !/[:@/]/.test(name))
    const unread = given.filter((name) => !this.#read.has(name) && !/^(?:aws-cdk|cdk)/.test(name))
    if (unread.length > 0) throw new Error(`-c ${unread.join(', -c ')}: there is ${[...this.#read].sort().join(', ')}`)
  }
}
