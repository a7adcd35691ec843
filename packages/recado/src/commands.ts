/**
 * All commands of the program beside the broker: their names, their lines in `recado --help`, and how each is loaded.
 *
 * `main.ts` looks up the command to run, `arguments.ts` makes help from it, `cli/completion.ts` the completion of
 * shells. A command is loaded when it is asked for: a client does not load the broker.
 */
import { basename } from 'node:path'
import type { Command } from './command-table.ts'
import type { Io } from './io.ts'

export interface LoadedCommand {
  readonly command: Command
  /**
   * Runs the command. Resolves with the exit code. `invokedAs` is the name of Mosquitto's program by which it was
   * started.
   */
  run(argv: readonly string[], io: Io, invokedAs?: string): Promise<number>
}

export interface CommandEntry {
  readonly name: string
  /** Arguments in the list of `recado --help`. */
  readonly sample: string
  /** Description in that list. */
  readonly does: string
  /** Mosquitto's program that it stands for. */
  readonly mosquitto?: string
  /** Whether arguments are bytes, and the command checks them itself. */
  readonly takesBytes?: true
  load(): Promise<LoadedCommand>
}

export const commandTable: readonly CommandEntry[] = [
  {
    ...{ name: 'pub', sample: '-t TOPIC -m MESSAGE', does: 'publishes' },
    ...{ mosquitto: 'mosquitto_pub', takesBytes: true },
    load: async () => {
      const [{ runPub }, { pubCommand }] = [await import('./cli/pub.ts'), await import('./cli/client-commands.ts')]
      return { command: pubCommand, run: runPub }
    },
  },
  {
    ...{ name: 'sub', sample: '-t TOPIC', does: 'subscribes' },
    ...{ mosquitto: 'mosquitto_sub', takesBytes: true },
    load: async () => {
      const [{ runSub }, { subCommand }] = [await import('./cli/sub.ts'), await import('./cli/client-commands.ts')]
      return { command: subCommand, run: runSub }
    },
  },
  {
    ...{ name: 'rr', sample: '-t TOPIC -e TOPIC ...', does: 'publishes a request and prints the response' },
    ...{ mosquitto: 'mosquitto_rr', takesBytes: true },
    load: async () => {
      const [{ runRr }, { rrCommand }] = [await import('./cli/rr.ts'), await import('./cli/client-commands.ts')]
      return { command: rrCommand, run: runRr }
    },
  },
  {
    ...{ name: 'tree', sample: '[-t FILTER]', does: 'shows topics with their last values and rates' },
    load: async () => {
      const { command, runTree } = await import('./cli/tree.ts')
      return { command, run: runTree }
    },
  },
  {
    ...{ name: 'doctor', sample: 'URL', does: 'examines a server and the way to it' },
    load: async () => {
      const { command, runDoctor } = await import('./cli/doctor.ts')
      return { command, run: runDoctor }
    },
  },
  {
    ...{ name: 'learn', sample: '[LESSON [URL]]', does: 'plays a lesson of MQTT against a server, packet by packet' },
    load: async () => {
      const { command, runLearn } = await import('./cli/learn.ts')
      return { command, run: runLearn }
    },
  },
  {
    ...{ name: 'status', sample: '[--ready]', does: 'says whether a running broker can be used, and how it is' },
    load: async () => {
      const { command, runStatus } = await import('./cli/status.ts')
      return { command, run: runStatus }
    },
  },
  {
    ...{ name: 'top', sample: '[--once]', does: 'shows rates, queues, drops and the busiest clients' },
    load: async () => {
      const { command, runTop } = await import('./cli/top.ts')
      return { command, run: runTop }
    },
  },
  {
    ...{ name: 'clients', sample: '[CLIENT]', does: 'lists the clients of a running broker' },
    load: async () => {
      const { command, runClients } = await import('./cli/clients.ts')
      return { command, run: runClients }
    },
  },
  {
    ...{ name: 'kick', sample: 'CLIENT', does: 'disconnects clients, ends sessions, drains queues' },
    load: async () => {
      const { command, runKick } = await import('./cli/kick.ts')
      return { command, run: runKick }
    },
  },
  {
    ...{ name: 'ban', sample: 'clientid NAME', does: 'keeps clients away for a time' },
    load: async () => {
      const { command, runBan } = await import('./cli/ban.ts')
      return { command, run: runBan }
    },
  },
  {
    ...{ name: 'retained', sample: 'list|get|set|delete', does: 'retained messages of a running broker' },
    load: async () => {
      const { command, runRetained } = await import('./cli/retained.ts')
      return { command, run: runRetained }
    },
  },
  {
    ...{ name: 'publish', sample: '-t TOPIC -m MESSAGE', does: 'publishes as an operator, by the HTTP API' },
    load: async () => {
      const { command, runPublish } = await import('./cli/publish.ts')
      return { command, run: runPublish }
    },
  },
  {
    ...{ name: 'reload', sample: '', does: 'makes a running broker read its configuration again' },
    load: async () => {
      const { command, runReload } = await import('./cli/reload.ts')
      return { command, run: runReload }
    },
  },
  {
    ...{ name: 'why', sample: '-t TOPIC [--client CLIENT]', does: 'says why a message did not arrive' },
    load: async () => {
      const { command, runWhy } = await import('./cli/why.ts')
      return { command, run: runWhy }
    },
  },
  {
    ...{ name: 'trace', sample: '-t FILTER', does: 'prints every step of messages as it happens' },
    load: async () => {
      const { command, runTrace } = await import('./cli/trace.ts')
      return { command, run: runTrace }
    },
  },
  {
    ...{ name: 'bench', sample: 'KIND', does: 'loads a server and measures' },
    load: async () => {
      const [{ runBench }, { command }] = [await import('./cli/bench.ts'), await import('./cli/bench-command.ts')]
      return { command, run: runBench }
    },
  },
  {
    ...{ name: 'inspect', sample: '[FOLDER]', does: 'shows what a broker keeps' },
    load: async () => {
      const { command, runInspect } = await import('./cli/inspect.ts')
      return { command, run: runInspect }
    },
  },
  {
    ...{ name: 'backup', sample: 'FILE', does: 'copies what a broker keeps, while it runs' },
    load: async () => {
      const { command, runBackup } = await import('./cli/backup.ts')
      return { command, run: runBackup }
    },
  },
  {
    ...{ name: 'export', sample: 'FOLDER FILE', does: 'writes what a broker keeps as lines of JSON' },
    load: async () => {
      const { command, runExport } = await import('./cli/export.ts')
      return { command, run: runExport }
    },
  },
  {
    ...{ name: 'import', sample: 'FOLDER FILE', does: 'makes a data folder of such lines' },
    load: async () => {
      const { command, runImport } = await import('./cli/import.ts')
      return { command, run: runImport }
    },
  },
  {
    ...{ name: 'passwd', sample: 'FILE USER', does: 'sets the password of a user in a password file' },
    ...{ mosquitto: 'mosquitto_passwd', takesBytes: true },
    load: async () => {
      const { command, runPasswd } = await import('./cli/passwd.ts')
      return { command, run: runPasswd }
    },
  },
  {
    ...{ name: 'ctrl', sample: 'dynsec COMMAND', does: 'administers dynamic security', mosquitto: 'mosquitto_ctrl' },
    load: async () => {
      const { command, runCtrl } = await import('./cli/ctrl.ts')
      return { command, run: runCtrl }
    },
  },
  {
    ...{ name: 'signal', sample: '-a SIGNAL', does: 'sends a signal to brokers', mosquitto: 'mosquitto_signal' },
    load: async () => {
      const { command, runSignal } = await import('./cli/signal.ts')
      return { command, run: runSignal }
    },
  },
  {
    ...{ name: 'link', sample: 'FOLDER', does: "puts the names of Mosquitto's programs into a folder" },
    load: async () => {
      const { command, runLink } = await import('./cli/link.ts')
      return { command, run: runLink }
    },
  },
  {
    ...{
      name: 'migrate-from-mosquitto',
      sample: '[--yes]',
      does: "takes a Mosquitto's place, with its files and data",
    },
    load: async () => {
      const { command, runMigrate } = await import('./cli/migrate.ts')
      return { command, run: runMigrate }
    },
  },
  {
    ...{ name: 'token', sample: 'create|list|revoke', does: 'makes and revokes tokens of the HTTP API' },
    load: async () => {
      const { command, runToken } = await import('./cli/token.ts')
      return { command, run: runToken }
    },
  },
  {
    ...{ name: 'completion', sample: 'SHELL', does: 'prints what makes a shell complete all this' },
    load: async () => {
      const { command, runCompletion } = await import('./cli/completion.ts')
      return { command, run: runCompletion }
    },
  },
  {
    ...{ name: 'acl', sample: 'check ...', does: 'says what an ACL file allows, and which line' },
    load: async () => {
      const { command, runAcl } = await import('./cli/acl.ts')
      return { command, run: runAcl }
    },
  },
  {
    ...{
      name: 'config',
      sample: 'explain FILE',
      does: 'shows the options in effect with their lines; lint FILE: risky ones',
    },
    load: async () => {
      const { command, runConfig } = await import('./cli/config.ts')
      return { command, run: runConfig }
    },
  },
]

/** Mosquitto's programs that exist here, the broker first. */
export const mosquittoPrograms: readonly { readonly mosquitto: string; readonly name: string }[] = [
  { mosquitto: 'mosquitto', name: '' },
  ...commandTable.flatMap(({ name, mosquitto }) => (mosquitto === undefined ? [] : [{ name, mosquitto }])),
]

/** Mosquitto's program by whose name this one was called; null when it was called by its own. */
export function toolCalled(program: string): { readonly mosquitto: string; readonly name: string } | null {
  const called = basename(program)
  return mosquittoPrograms.find(({ mosquitto }) => mosquitto === called) ?? null
}
