/**
 * What each test of Mosquitto's suites does on Recado: all pass, except those here, each with its reason.
 */
import type { SuiteVersion } from './source.ts'
import type { SuiteName } from './workspace.ts'

const expected: Readonly<Record<string, Readonly<Record<string, string>>>> = {}

/** Tests that fail, with the reason. */
export const expectedFailures = (suite: SuiteName, version: SuiteVersion): Readonly<Record<string, string>> =>
  expected[`${suite} ${version}`] ?? {}
