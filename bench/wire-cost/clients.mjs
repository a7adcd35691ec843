/**
 * One reading of a sensor by each protocol: how each of them connects, sends a reading and waits until the other side
 * has it, and goes.
 *
 * `clientsOf` is called by the client's process of `npm run bench:wire-cost`. Invariant: `send` resolves when the
 * protocol's own acknowledgement is there (PUBACK, an HTTP status, a CoAP ACK), or, where there is none (QoS 0, NON),
 * when the bytes are handed to the kernel. `sendsAtOpen` says that `open` sent a reading already, which fills a table of
 * the connection; `extra` is what a reading costs only because it is measured. Requests carry what Node's own HTTP client sends by itself and nothing more.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { Agent, request as httpRequest } from 'node:http'
import { connect as http2Connect } from 'node:http2'
import { request as httpsRequest, Agent as TlsAgent } from 'node:https'
import { connect as tcpConnect } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import { createWebSocketStream, WebSocket } from 'ws'
import { Connect, Disconnect, decodeAll, encode, Pingreq, Publish } from './mqtt.mjs'

export const TOPIC = 'casa/sala/temperatura'
export const READING = Buffer.from('{"celsius":21.5}')
export const PORTS = { mqtt: 1883, mqtts: 8883, ws: 8080, http: 8000, https: 8443, h2c: 8001, h2: 8444, coap: 5683 }

/** @param target `{ host, ca }`: address of the server, and the certificate that it is checked by */
export function clientsOf({ host, ca }) {
  const tls = { host, ca, servername: 'server', minVersion: 'TLSv1.3' }

  /** MQTT over any stream. `alias`: the second PUBLISH and those after it have a Topic Alias instead of the topic. */
  function mqtt(open, { version = 4, qos = 1, alias = false } = {}) {
    let stream
    let packets
    let packetId = 0
    return {
      sendsAtOpen: alias,
      async open() {
        stream = await open()
        packets = decodeAll(stream, version)
        const properties = alias ? { topicAliasMaximum: 1 } : undefined
        stream.write(
          encode(
            new Connect({
              protocolVersion: version,
              cleanStart: true,
              keepAliveSeconds: 300,
              clientId: 'sensor-1',
              properties,
            }),
            version,
          ),
        )
        await packets.next()
        if (alias) await this.send() // names the alias, once a connection
      },
      async send() {
        packetId = qos === 0 ? 0 : (packetId % 65535) + 1
        const isNamed = !alias || packetId <= 1
        const properties = alias ? { topicAlias: 1 } : undefined
        const topic = isNamed ? TOPIC : ''
        stream.write(encode(Publish.of({ topic, payload: READING, qos, packetId, properties }), version))
        if (qos > 0) await packets.next()
      },
      async ping() {
        stream.write(encode(new Pingreq(), version))
        await packets.next()
      },
      async close() {
        stream.end(encode(new Disconnect(), version))
        await once(stream, 'close')
      },
    }
  }
  const overTcp = async () => {
    const socket = tcpConnect({ host, port: PORTS.mqtt, noDelay: true })
    await once(socket, 'connect')
    return socket
  }
  let ticket
  const overTls = (resumes) => async () => {
    const socket = tlsConnect({ ...tls, port: PORTS.mqtts, ...(resumes ? { session: ticket } : {}) })
    socket.on('session', (session) => {
      ticket = session
    })
    await once(socket, 'secureConnect')
    if (resumes && !socket.isSessionReused()) throw new Error('the session was not resumed')
    socket.setNoDelay(true)
    return socket
  }
  const overWebSocket = async () => {
    const socket = new WebSocket(`ws://${host}:${PORTS.ws}/mqtt`, 'mqtt', { perMessageDeflate: false })
    await once(socket, 'open')
    return createWebSocketStream(socket)
  }

  /** POST by Node's own client; `keeps` one connection open, or opens one for each request. */
  function http(request, AgentClass, port, { keeps, options = {} }) {
    let agent
    const post = () =>
      new Promise((resolve, reject) => {
        const headers = { 'content-type': 'application/json', 'content-length': READING.length }
        const outgoing = request(
          { host, port, agent, method: 'POST', path: `/${TOPIC}`, headers, ...options },
          (answer) => {
            answer.resume()
            answer.on('end', () =>
              answer.statusCode === 204 ? resolve() : reject(new Error(`HTTP ${answer.statusCode}`)),
            )
          },
        )
        outgoing.on('error', reject)
        outgoing.end(READING)
      })
    return {
      sendsAtOpen: keeps,
      async open() {
        agent = new AgentClass({ keepAlive: keeps, maxSockets: 1, maxCachedSessions: keeps ? 0 : 100 })
        if (keeps) await post()
      },
      send: post,
      async close() {
        agent.destroy()
      },
    }
  }

  function http2(url, options) {
    let session
    return {
      sendsAtOpen: true,
      async open() {
        session = http2Connect(url, options)
        await once(session, 'connect')
        await this.send() // its headers fill the HPACK table, once a connection
      },
      async send() {
        const stream = session.request({
          ':method': 'POST',
          ':path': `/${TOPIC}`,
          'content-type': 'application/json',
          'content-length': READING.length,
        })
        stream.end(READING)
        const [headers] = await once(stream, 'response')
        if (headers[':status'] !== 204) throw new Error(`HTTP ${headers[':status']}`)
        stream.resume()
        await once(stream, 'close')
      },
      async close() {
        session.close()
        await once(session, 'close')
      },
    }
  }

  /** CoAP (RFC 7252): POST as a confirmable or a non-confirmable message; Observe (RFC 7641) turns the flow around. */
  function coap(type) {
    let socket
    let messageId = 1
    const answers = []
    const waiting = []
    const next = () => answers.shift() ?? new Promise((resolve) => waiting.push(resolve))
    const trigger = () => coapMessage({ type: 1, code: 2, messageId: messageId++, path: ['notify'] })
    return {
      // What makes the server notify is part of the measurement, not of the protocol: an IP, a UDP header and the message.
      extra: type === 'observe' ? { packets: 1, bytesOut: 20 + 8 + trigger().length } : undefined,
      async open() {
        socket = createSocket('udp4')
        socket.on('message', (bytes) => (waiting.length > 0 ? waiting.shift()(bytes) : answers.push(bytes)))
        socket.connect(PORTS.coap, host)
        await once(socket, 'connect')
        if (type === 'observe') {
          // GET with Observe 0: from now on the server sends notifications; each confirmable one is acknowledged.
          socket.send(coapMessage({ type: 0, code: 1, messageId: messageId++, observe: 0 }))
          await next()
        }
      },
      async send() {
        if (type === 'observe') {
          socket.send(trigger())
          const notification = await next()
          socket.send(Buffer.from([0x60, 0, notification[2], notification[3]])) // ACK
          return
        }
        const isConfirmable = type === 'confirmable'
        socket.send(coapMessage({ type: isConfirmable ? 0 : 1, code: 2, messageId: messageId++, payload: READING }))
        if (isConfirmable) await next() // ACK with 2.04 Changed in it
      },
      async close() {
        socket.close()
      },
    }
  }

  return {
    'MQTT 3.1.1, QoS 0': mqtt(overTcp, { qos: 0 }),
    'MQTT 3.1.1, QoS 1': mqtt(overTcp),
    'MQTT 5.0, Topic Alias, QoS 1': mqtt(overTcp, { version: 5, alias: true }),
    'MQTT 3.1.1, QoS 1, WebSocket': mqtt(overWebSocket),
    'MQTT 3.1.1, QoS 1, TLS 1.3': mqtt(overTls(false)),
    'MQTT 3.1.1, QoS 1, TLS 1.3 resumed': mqtt(overTls(true)),
    'HTTP/1.1, kept alive': http(httpRequest, Agent, PORTS.http, { keeps: true }),
    'HTTP/1.1, a connection each': http(httpRequest, Agent, PORTS.http, { keeps: false }),
    'HTTP/1.1, kept alive, TLS 1.3': http(httpsRequest, TlsAgent, PORTS.https, { keeps: true, options: tls }),
    'HTTP/1.1, a connection each, TLS 1.3 resumed': http(httpsRequest, TlsAgent, PORTS.https, {
      keeps: false,
      options: tls,
    }),
    'HTTP/2': http2(`http://${host}:${PORTS.h2c}`, {}),
    'HTTP/2, TLS 1.3': http2(`https://${host}:${PORTS.h2}`, { ca, servername: 'server' }),
    'CoAP, confirmable': coap('confirmable'),
    'CoAP, non-confirmable': coap('non-confirmable'),
    'CoAP, observed, confirmable': coap('observe'),
  }
}

/** Encodes a CoAP message with a token of two bytes: header, token, Observe (6), Uri-Path (11), Content-Format (12). */
export function coapMessage({ type, code, messageId, token = [0x4a, 0x01], observe, path, payload }) {
  const parts = [Buffer.from([0x40 | (type << 4) | token.length, code, messageId >> 8, messageId & 0xff, ...token])]
  let last = 0
  const option = (number, value) => {
    const delta = number - last
    last = number
    // No delta or length of 13 or more comes up here, which would need further bytes (RFC 7252 section 3.1).
    if (delta > 12 || value.length > 12) throw new Error('an option that this encoder does not know')
    parts.push(Buffer.from([(delta << 4) | value.length]), value)
  }
  if (observe !== undefined) option(6, observe === 0 ? Buffer.alloc(0) : Buffer.from([observe & 0xff]))
  const isRequest = code >= 1 && code <= 4
  if (isRequest) for (const segment of path ?? TOPIC.split('/')) option(11, Buffer.from(segment))
  if (payload !== undefined) {
    option(12, Buffer.from([50])) // application/json
    parts.push(Buffer.from([0xff]), payload)
  }
  return Buffer.concat(parts)
}
