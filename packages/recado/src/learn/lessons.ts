/**
 * The lessons of `recado learn`: one for each page of docs/learn, with the exchange that the page explains.
 *
 * Each plays on a `Stage` against a server that is there, packet by packet. The invariant: a lesson works on every server that
 * keeps to the specification, and leaves nothing on it.
 */
import {
  Disconnect,
  Pingreq,
  Pingresp,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  ReasonCode,
  Suback,
  Subscribe,
  type Subscription,
  toBytes,
  Unsuback,
  Unsubscribe,
} from '@recado/protocol'
import type { Stage, Text } from './stage.ts'

export interface Lesson {
  /** Name of the page in docs/learn, without `.md`. */
  readonly name: string
  readonly title: Text
  play(stage: Stage): Promise<void>
}

/** Time in which a server that has something to send has sent it, ms. */
const SILENCE_MS = 500

const client: Text = { en: 'client', es: 'cliente' }
const publisher: Text = { en: 'publisher', es: 'publicador' }
const subscriber: Text = { en: 'subscriber', es: 'suscriptor' }

function subscription(topicFilter: string, qos: 0 | 1 | 2): Subscription {
  return { topicFilter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 }
}

async function playBytes(stage: Stage): Promise<void> {
  stage.say({
    en: 'Each packet begins with its type and flags, then the Remaining Length. PINGREQ is the shortest: two bytes.',
    es: 'Cada paquete comienza con su tipo y sus flags, y sigue la Remaining Length. PINGREQ es el más corto: dos bytes.',
  })
  const side = await stage.connect(client, 'bytes', 4)
  side.send(new Pingreq())
  await side.receive(Pingresp)
  stage.say({
    en: 'Up to 127 the Remaining Length is one byte. A payload of 200 bytes needs two: the first has its highest bit set.',
    es: 'Hasta 127 la Remaining Length ocupa un byte. Una carga de 200 bytes necesita dos: el primero lleva el bit más alto.',
  })
  side.send(Publish.of({ topic: stage.topic('long'), payload: toBytes('x'.repeat(200)), qos: 1, packetId: 1 }))
  await side.receive(Puback)
  side.send(new Disconnect())
}

async function playConnecting(stage: Stage): Promise<void> {
  stage.say({
    en: 'The first packet is CONNECT: protocol, flags, Keep Alive, and who this is. The server answers with CONNACK.',
    es: 'El primer paquete es CONNECT: protocolo, flags, Keep Alive y quién es. El servidor contesta con CONNACK.',
  })
  const first = await stage.connect(client, 'ada', 4, {
    will: {
      topic: stage.topic('ada'),
      payload: toBytes('gone'),
      qos: 1,
      retain: false,
      properties: {},
    },
  })
  stage.say({
    en: 'Within the Keep Alive the client must say something; PINGREQ is enough.',
    es: 'Dentro del Keep Alive el cliente tiene que decir algo; basta con PINGREQ.',
  })
  first.send(new Pingreq())
  await first.receive(Pingresp)
  stage.say({
    en: 'A second client with the same Client Identifier takes over: the server closes the first connection.',
    es: 'Un segundo cliente con el mismo Client Identifier toma su lugar: el servidor cierra la primera conexión.',
  })
  const second = await stage.connect({ en: 'second client', es: 'segundo cliente' }, 'ada', 4)
  await first.closes()
  stage.say({
    en: 'DISCONNECT ends a connection in good order: no Will is published.',
    es: 'DISCONNECT termina la conexión en orden: no se publica ningún Will.',
  })
  second.send(new Disconnect())
  await second.closes()
}

async function playPublishing(stage: Stage): Promise<void> {
  const topic = stage.topic('casa/sala')
  const reader = await stage.connect(subscriber, 'reader', 4)
  reader.send(new Subscribe(1, [subscription(topic, 2)]))
  await reader.receive(Suback)
  const writer = await stage.connect(publisher, 'writer', 4)
  stage.say({
    en: 'QoS 0: sent, and forgotten. There is no Packet Identifier and no answer.',
    es: 'QoS 0: se envía y se olvida. No hay Packet Identifier ni respuesta.',
  })
  writer.send(Publish.of({ topic, payload: toBytes('21') }))
  await reader.receive(Publish)
  stage.say({
    en: 'QoS 1: the sender keeps the message until PUBACK. On its way to the subscriber the message has another identifier.',
    es: 'QoS 1: quien envía guarda el mensaje hasta PUBACK. En su camino al suscriptor lleva otro identificador.',
  })
  writer.send(Publish.of({ topic, payload: toBytes('22'), qos: 1, packetId: 7 }))
  await writer.receive(Puback)
  const once = await reader.receive(Publish)
  reader.send(new Puback(once.packetId))
  stage.say({
    en: 'QoS 2: PUBLISH, PUBREC, PUBREL, PUBCOMP. Before PUBREL the publisher says it twice, as after a lost PUBREC.',
    es: 'QoS 2: PUBLISH, PUBREC, PUBREL, PUBCOMP. Antes de PUBREL el publicador lo dice dos veces, como tras perderse PUBREC.',
  })
  writer.send(Publish.of({ topic, payload: toBytes('23'), qos: 2, packetId: 8 }))
  await writer.receive(Pubrec)
  writer.send(Publish.of({ topic, payload: toBytes('23'), qos: 2, packetId: 8, dup: true }))
  await writer.receive(Pubrec)
  writer.send(new Pubrel(8))
  await writer.receive(Pubcomp)
  stage.say({
    en: 'The subscriber gets it once, in four packets of its own.',
    es: 'El suscriptor lo recibe una sola vez, en cuatro paquetes propios.',
  })
  const exactly = await reader.receive(Publish)
  reader.send(new Pubrec(exactly.packetId))
  await reader.receive(Pubrel)
  reader.send(new Pubcomp(exactly.packetId))
  await reader.silence(SILENCE_MS)
}

async function playSubscribing(stage: Stage): Promise<void> {
  const reader = await stage.connect(subscriber, 'reader', 4)
  const filter = stage.topic('casa/+/temperatura')
  stage.say({
    en: '+ stands for one level, # for all that follow. SUBACK has a Return Code for each Topic Filter, in their order.',
    es: '+ vale por un nivel, # por todos los que siguen. SUBACK lleva un Return Code por cada Topic Filter, en su orden.',
  })
  reader.send(new Subscribe(1, [subscription(filter, 1), subscription(stage.topic('jardín/#'), 0)]))
  await reader.receive(Suback)
  const writer = await stage.connect(publisher, 'writer', 4)
  stage.say({ en: 'This topic matches the first filter.', es: 'Este topic coincide con el primer filtro.' })
  writer.send(Publish.of({ topic: stage.topic('casa/sala/temperatura'), payload: toBytes('21') }))
  await reader.receive(Publish)
  stage.say({
    en: '# matches the level above it too.',
    es: '# coincide también con el nivel que está encima.',
  })
  writer.send(Publish.of({ topic: stage.topic('jardín'), payload: toBytes('sol') }))
  await reader.receive(Publish)
  stage.say({
    en: 'This one has a level less than + asks for: it matches nothing.',
    es: 'Este tiene un nivel menos de los que pide +: no coincide con nada.',
  })
  writer.send(Publish.of({ topic: stage.topic('casa/temperatura'), payload: toBytes('20') }))
  await reader.silence(SILENCE_MS)
  stage.say({
    en: 'After UNSUBACK nothing comes for this filter any more.',
    es: 'Después de UNSUBACK no llega nada más por este filtro.',
  })
  reader.send(new Unsubscribe(2, [filter]))
  await reader.receive(Unsuback)
  writer.send(Publish.of({ topic: stage.topic('casa/sala/temperatura'), payload: toBytes('22') }))
  await reader.silence(SILENCE_MS)
}

async function playSessions(stage: Stage): Promise<void> {
  const topic = stage.topic('casa/puerta')
  stage.say({
    en: 'Clean Session 0: the server keeps the subscription, and what comes for it, while the client is away.',
    es: 'Clean Session 0: el servidor guarda la suscripción, y lo que llega para ella, mientras el cliente no está.',
  })
  const first = await stage.connect(subscriber, 'ada', 4, { cleanStart: false })
  first.send(new Subscribe(1, [subscription(topic, 1)]))
  await first.receive(Suback)
  first.send(new Disconnect())
  await first.closes()
  const writer = await stage.connect(publisher, 'writer', 4)
  writer.send(Publish.of({ topic, payload: toBytes('abierta'), qos: 1, packetId: 1 }))
  await writer.receive(Puback)
  stage.say({
    en: 'The client is back: Session Present is 1, and the message has waited.',
    es: 'El cliente vuelve: Session Present es 1, y el mensaje ha esperado.',
  })
  const again = await stage.connect(subscriber, 'ada', 4, { cleanStart: false })
  const waited = await again.receive(Publish)
  again.send(new Puback(waited.packetId))
  stage.say({
    en: 'RETAIN: the server keeps the last message of a topic for whoever subscribes later.',
    es: 'RETAIN: el servidor guarda el último mensaje de un topic para quien se suscriba más tarde.',
  })
  const light = stage.topic('casa/luz')
  writer.send(Publish.of({ topic: light, payload: toBytes('on'), qos: 1, packetId: 2, retain: true }))
  await writer.receive(Puback)
  again.send(new Subscribe(2, [subscription(light, 0)]))
  await again.receive(Suback)
  await again.receive(Publish)
  stage.say({
    en: 'A Will: what the server publishes when a connection breaks without DISCONNECT.',
    es: 'Un Will: lo que el servidor publica cuando una conexión se corta sin DISCONNECT.',
  })
  const state = stage.topic('estado/bob')
  again.send(new Subscribe(3, [subscription(state, 0)]))
  await again.receive(Suback)
  const bob = await stage.connect({ en: 'bob', es: 'bob' }, 'bob', 4, {
    will: { topic: state, payload: toBytes('offline'), qos: 0, retain: false, properties: {} },
  })
  bob.end()
  await again.receive(Publish)
  stage.say({
    en: 'An empty payload with RETAIN deletes what is retained.',
    es: 'Una carga vacía con RETAIN borra lo retenido.',
  })
  writer.send(Publish.of({ topic: light, qos: 1, packetId: 3, retain: true }))
  await writer.receive(Puback)
}

async function playMqtt5(stage: Stage): Promise<void> {
  stage.say({
    en: 'MQTT 5.0 adds properties to CONNECT and to nearly every other packet; CONNACK says what the server can do.',
    es: 'MQTT 5.0 añade propiedades a CONNECT y a casi todos los demás paquetes; CONNACK dice qué puede el servidor.',
  })
  const reader = await stage.connect(subscriber, 'reader', 5, {
    properties: { receiveMaximum: 10, topicAliasMaximum: 5 },
  })
  const filter = stage.topic('jobs/#')
  stage.say({
    en: 'A Subscription Identifier comes back with each message that its subscription gets.',
    es: 'Un Subscription Identifier vuelve con cada mensaje que recibe su suscripción.',
  })
  reader.send(new Subscribe(1, [subscription(filter, 1)], { subscriptionIdentifiers: [42] }))
  await reader.receive(Suback)
  const writer = await stage.connect(publisher, 'writer', 5)
  stage.say({
    en: 'User Properties are for applications; the Message Expiry Interval tells the server how long the message is worth anything.',
    es: 'Las User Properties son de las aplicaciones; el Message Expiry Interval dice cuánto tiempo vale el mensaje.',
  })
  const properties = {
    messageExpiryIntervalSeconds: 60,
    contentType: 'text/plain',
    userProperties: [['unit', '°C']] as [string, string][],
  }
  writer.send(Publish.of({ topic: stage.topic('jobs/a'), payload: toBytes('1'), qos: 1, packetId: 1, properties }))
  await writer.receive(Puback)
  const got = await reader.receive(Publish)
  reader.send(new Puback(got.packetId))
  stage.say({
    en: 'Acknowledgements have Reason Codes. Nobody has subscribed to this topic; a server may say so.',
    es: 'Los acuses llevan Reason Codes. Nadie se ha suscrito a este topic; un servidor puede decirlo.',
  })
  writer.send(Publish.of({ topic: stage.topic('nobody'), payload: toBytes('x'), qos: 1, packetId: 2 }))
  await writer.receive(Puback)
  writer.send(new Unsubscribe(3, [stage.topic('never')]))
  await writer.receive(Unsuback)
  stage.say({
    en: 'DISCONNECT has one too: 0x04 asks for the Will to be published.',
    es: 'DISCONNECT también lleva uno: 0x04 pide que se publique el Will.',
  })
  const bob = await stage.connect({ en: 'bob', es: 'bob' }, 'bob', 5, {
    will: { topic: stage.topic('jobs/bob'), payload: toBytes('gone'), qos: 0, retain: false, properties: {} },
  })
  bob.send(new Disconnect(ReasonCode.DisconnectWithWillMessage))
  await reader.receive(Publish)
}

async function playSecurity(stage: Stage): Promise<void> {
  stage.say({
    en: 'A login in CONNECT: user name and password travel as they are, so only TLS keeps them secret. This one is wrong.',
    es: 'Un login en CONNECT: usuario y contraseña viajan tal cual, así que solo TLS los mantiene en secreto. Este es falso.',
  })
  const stranger = await stage.open({ en: 'stranger', es: 'extraño' }, 5)
  const connack = await stranger.login('stranger', { username: 'recado-learn', password: toBytes('wrong') })
  const isRefused = connack.reasonCode !== ReasonCode.Success
  stage.say(
    isRefused
      ? {
          en: 'The server refuses it, with a code that does not say whether the user exists, and closes the connection.',
          es: 'El servidor lo rechaza, con un código que no dice si el usuario existe, y cierra la conexión.',
        }
      : {
          en: 'This server asks for no login: everybody who reaches it may connect. "recado config lint" warns of that.',
          es: 'Este servidor no pide login: todo el que llega puede conectarse. "recado config lint" avisa de ello.',
        },
  )
  if (isRefused) await stranger.closes()
  const side = await stage.connect(client, 'ada', 5)
  stage.say({
    en: 'Rights are judged for each PUBLISH and each Topic Filter. Nobody may publish what the server says of itself.',
    es: 'Los derechos se juzgan en cada PUBLISH y cada Topic Filter. Nadie puede publicar lo que el servidor dice de sí mismo.',
  })
  side.send(Publish.of({ topic: '$SYS/broker/uptime', payload: toBytes('0'), qos: 1, packetId: 1 }))
  await side.receive(Puback)
  side.send(new Disconnect())
  await side.closes()
}

export const lessons: readonly Lesson[] = [
  { name: 'bytes', title: { en: 'what a packet is made of', es: 'de qué está hecho un paquete' }, play: playBytes },
  { name: 'connecting', title: { en: 'CONNECT to DISCONNECT', es: 'de CONNECT a DISCONNECT' }, play: playConnecting },
  { name: 'publishing', title: { en: 'QoS 0, 1 and 2', es: 'QoS 0, 1 y 2' }, play: playPublishing },
  { name: 'subscribing', title: { en: 'Topic Filters', es: 'Topic Filters' }, play: playSubscribing },
  {
    name: 'sessions',
    title: { en: 'sessions, retained messages, Wills', es: 'sesiones, mensajes retenidos, Wills' },
    play: playSessions,
  },
  { name: 'mqtt5', title: { en: 'properties and Reason Codes', es: 'propiedades y Reason Codes' }, play: playMqtt5 },
  { name: 'security', title: { en: 'logins and rights', es: 'logins y derechos' }, play: playSecurity },
]
