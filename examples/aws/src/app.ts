/*
 * `npx cdk deploy -c variant=broker|iot-core ...`: makes one of the two stacks from the context (`-c NAME=VALUE`).
 *
 * README.md has the values. Nothing is looked up while it is synthesized, so that needs no account and no network.
 */
import { App } from 'aws-cdk-lib'
import { BrokerStack } from './broker-stack.ts'
import { Context } from './context.ts'
import { IotCoreStack } from './iot-core-stack.ts'

const app = new App()
const context = new Context(app)
try {
  const variant = context.oneOf('variant', ['broker', 'iot-core'])
  // Region and account are those of the command line: the template fits every one.
  if (variant === 'broker') new BrokerStack(app, 'Recado', context.broker())
  else new IotCoreStack(app, 'RecadoIotCore', context.iotCore())
  context.refuseUnread()
  app.synth()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
