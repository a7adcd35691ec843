/**
 * `recado` as a library: run the program in this process, or read a mosquitto.conf with it.
 *
 * To embed a broker use `@recado/broker`; this is the program around it.
 */
// Declarations that name Node's types find them in every project, whatever its `types` say.
/// <reference types="node" preserve="true" />
export { brokerOptionsFrom } from './config/broker-options.ts'
export { type CommandLine, type Config, loadConfig } from './config/config.ts'
export type { ListenerConfig } from './config/listeners.ts'
export type { LogConfig } from './config/log.ts'
export { ConfigError } from './config/parse.ts'
export { type Option, optionTable } from './config/schema.ts'
export type { Io } from './io.ts'
export { main } from './main.ts'
