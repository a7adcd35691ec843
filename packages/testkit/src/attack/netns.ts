/**
 * Another machine, as far as the network shows: a network namespace behind a cable of its own, which can be cut.
 *
 * `run.ts` makes one for attacks whose clients vanish. Needs Linux and root; `remove` removes everything that it made.
 */
import { ip } from '../bridge/sites.ts'

export class Namespace {
  readonly name: string = `recado-${process.pid}`
  /** Address of this machine, as seen from there. */
  readonly host: string = `10.213.${process.pid % 250}.1`
  /** End of the cable that is in the namespace; a process there can take it down. */
  readonly device: string = `rcn${process.pid}`
  readonly #near: string = `rch${process.pid}`

  constructor() {
    const near = this.#near
    ip('netns', 'add', this.name)
    try {
      ip('link', 'add', near, 'type', 'veth', 'peer', 'name', this.device, 'netns', this.name)
      ip('addr', 'add', `${this.host}/30`, 'dev', near)
      ip('link', 'set', near, 'up')
      ip('-n', this.name, 'addr', 'add', this.host.replace(/1$/, '2/30'), 'dev', this.device)
      ip('-n', this.name, 'link', 'set', this.device, 'up')
    } catch (error) {
      ip('netns', 'del', this.name)
      throw error
    }
  }

  /** Converts a command to one that runs there. */
  commandFor(command: string, args: readonly string[]): [command: string, args: string[]] {
    return ['ip', ['netns', 'exec', this.name, command, ...args]]
  }

  remove(): void {
    // The cable first: it would vanish with its namespace, but later.
    ip('link', 'del', this.#near)
    ip('netns', 'del', this.name)
  }
}

export const cut = (device: string): void => ip('link', 'set', device, 'down')

/** Reason why there cannot be a namespace here; '' when there can. */
export function whyNoNamespace(): string {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs Linux and root'
  try {
    new Namespace().remove()
    return ''
  } catch (error) {
    return `no network namespaces here: ${(error as Error).message.split('\n')[0]}`
  }
}
