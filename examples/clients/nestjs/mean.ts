/**
 * A NestJS microservice over MQTT: takes the readings of all thermometers, and answers what the mean of each room is.
 *
 *     npm ci && MQTT_URL=mqtt://localhost npm start
 *     recado pub -t house/mean -m '{"id":"1","pattern":"house/mean","data":null}'
 *     recado sub -t house/mean/reply        {"response":{"kitchen":21.5},"isDisposed":true,"id":"1"}
 *
 * Events are any JSON on a topic that a pattern matches. A request has an `id`, and Nest publishes its answer to the
 * topic with `/reply` behind it: a convention of Nest's own, older than Response Topic of MQTT 5.0.
 */
import 'reflect-metadata'
import { Controller, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import {
  Ctx,
  EventPattern,
  MessagePattern,
  type MicroserviceOptions,
  type MqttContext,
  Payload,
  Transport,
} from '@nestjs/microservices'

interface Mean {
  count: number
  sum: number
}

@Controller()
class MeanController {
  readonly #rooms = new Map<string, Mean>()

  @EventPattern('house/+/temperature')
  take(@Payload() reading: unknown, @Ctx() context: unknown): void {
    const room = (context as MqttContext).getTopic().split('/')[1]
    const { celsius } = (reading ?? {}) as { celsius?: unknown }
    // Anybody may publish anything.
    if (room === undefined || typeof celsius !== 'number') return
    const mean = this.#rooms.get(room) ?? { count: 0, sum: 0 }
    this.#rooms.set(room, { count: mean.count + 1, sum: mean.sum + celsius })
  }

  @MessagePattern('house/mean')
  answer(): Record<string, number> {
    return Object.fromEntries([...this.#rooms].map(([room, { count, sum }]) => [room, sum / count]))
  }
}

@Module({ controllers: [MeanController] })
class MeanModule {}

const service = await NestFactory.createMicroservice<MicroserviceOptions>(MeanModule, {
  transport: Transport.MQTT,
  options: {
    url: process.env['MQTT_URL'] ?? 'mqtt://localhost',
    clientId: 'nestjs-mean',
    // What comes while the service is away waits for it.
    clean: false,
    subscribeOptions: { qos: 1 },
  },
})
service.enableShutdownHooks()
await service.listen()
console.log('listening')
