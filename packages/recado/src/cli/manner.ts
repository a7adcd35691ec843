/**
 * The manner of a tool, its words and exit codes: its own, or those of Mosquitto 2.0 or 2.1, byte for byte where a
 * program may read them.
 *
 * `--as-mosquitto VERSION`, as the first argument, selects it; a tool that is called by the name of one of Mosquitto's
 * (`recado link` makes such names) has that of 2.1. Our own manner is that of 2.1, except for the differences in
 * docs/tools.md.
 */
import { version } from '../version.ts'

export type MosquittoVersion = '2.0' | '2.1'

export interface Manner {
  /** Name for texts: `recado pub`, or `mosquitto_pub`. */
  readonly program: string
  /** Version of Mosquitto; null for our own manner. */
  readonly mosquitto: MosquittoVersion | null
}

export const mosquittoVersions: readonly MosquittoVersion[] = ['2.0', '2.1']

/** Latest version of each line that was compared. */
const releases: Record<MosquittoVersion, string> = { '2.0': '2.0.11', '2.1': '2.1.2' }

/**
 * Returns the manner, and the arguments without `--as-mosquitto`; or a text that describes the error. @param invokedAs
 * a name of Mosquitto's by which the program was started
 */
export function mannerOf(
  tool: string,
  argv: readonly string[],
  invokedAs: string | undefined,
): { manner: Manner; rest: readonly string[] } | string {
  const program = invokedAs ?? `mosquitto_${tool}`
  if (argv[0] !== '--as-mosquitto') {
    const own = { program: `recado ${tool}`, mosquitto: null }
    return { manner: invokedAs === undefined ? own : { program, mosquitto: '2.1' }, rest: argv }
  }
  const mosquitto = mosquittoVersions.find((each) => each === argv[1])
  if (mosquitto === undefined) return `Error: --as-mosquitto needs ${mosquittoVersions.join(' or ')}.\n`
  return { manner: { program, mosquitto }, rest: argv.slice(2) }
}

/** Name and version of the broker in its log and in `$SYS/broker/version`. */
export const brokerVersion = (mosquitto: MosquittoVersion | null): string =>
  mosquitto === null ? `recado version ${version}` : `mosquitto version ${releases[mosquitto]}`

/** Returns the line of `--version`. */
export function versionLine({ program, mosquitto }: Manner): string {
  if (mosquitto === null) return `${program} ${version}\n`
  return `${program} version ${releases[mosquitto]} running on recado ${version}.\n`
}

/** Exit code of `--help` and `--version`: Mosquitto's tools end with 1. */
export const helpExitCode = ({ mosquitto }: Manner): number => (mosquitto === null ? 0 : 1)
