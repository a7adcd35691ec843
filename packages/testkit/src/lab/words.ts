/** The words of the laboratory's tables and charts, in the languages of its pages. */
import type { DeviceName } from './devices.ts'
import type { ServerName } from './servers.ts'

export type Language = 'en' | 'es'

type Part = 'steady' | 'devices' | 'servers' | 'faults' | 'faultServers' | 'qos' | 'tls'

export interface Words {
  readonly line: string
  readonly fault: string
  readonly lost: string
  readonly twice: string
  readonly late: string
  readonly packets: string
  readonly bytes: string
  readonly never: string
  readonly headings: Readonly<Record<Part, string>>
  readonly leads: Readonly<Record<Part, string>>
  readonly latencyChart: string
  readonly recoveryChart: string
  readonly deviceNoticed: string
  readonly serverNoticed: string
  readonly recovered: string
}

export const deviceTitles: Readonly<Record<DeviceName, string>> = {
  recado: '@recado/client',
  mosquitto: 'mosquitto_pub/sub',
  'paho-c': 'Paho C',
  'paho-python': 'Paho Python',
  mqttjs: 'MQTT.js',
}
export const serverTitles: Readonly<Record<ServerName, string>> = {
  recado: 'Recado',
  mosquitto: 'Mosquitto',
  aedes: 'aedes',
}

export const words: Readonly<Record<Language, Words>> = {
  en: {
    line: 'line',
    fault: 'fault',
    lost: 'lost / sent',
    twice: 'twice',
    late: 'out of order',
    packets: 'packets per message',
    bytes: 'bytes per message',
    never: 'no connection',
    headings: {
      steady: 'A bad line, QoS 1: @recado/client on Recado',
      devices: 'The same by client, on Recado',
      servers: 'The same by server, with @recado/client',
      faults: 'Faults by client, on Recado',
      faultServers: 'Faults by server, with @recado/client',
      qos: 'QoS 0, 1 and 2: @recado/client on Recado',
      tls: 'With and without TLS: @recado/client on Recado, QoS 1',
    },
    leads: {
      steady: 'Latency in milliseconds, of the worse direction.',
      devices: 'Latency in milliseconds, p50 / p95, of the worse direction; in brackets what was lost.',
      servers: 'As above.',
      faults:
        "Seconds until the device, and the server, gave up the connection, from the fault's beginning; and until messages came in\n" +
        "both directions, from the fault's end. In brackets what was lost (−) or came twice (+).",
      faultServers: 'As above.',
      qos: 'Lost / twice / out of order; p95 of the latency in milliseconds; bytes on the line per message.',
      tls: 'p95 of the latency in milliseconds; bytes per message; seconds to recover from a fault.',
    },
    latencyChart: 'Latency at QoS 1 on a bad line, milliseconds, logarithmic: p50, p95, largest',
    recoveryChart: 'Seconds until the device and the server notice a fault, and from its end until messages come',
    deviceNoticed: 'device notices',
    serverNoticed: 'server notices',
    recovered: 'messages come again',
  },
  es: {
    line: 'línea',
    fault: 'fallo',
    lost: 'perdidos / enviados',
    twice: 'repetidos',
    late: 'desordenados',
    packets: 'paquetes por mensaje',
    bytes: 'bytes por mensaje',
    never: 'sin conexión',
    headings: {
      steady: 'Una mala línea, QoS 1: @recado/client con Recado',
      devices: 'Lo mismo por cliente, con Recado',
      servers: 'Lo mismo por servidor, con @recado/client',
      faults: 'Fallos por cliente, con Recado',
      faultServers: 'Fallos por servidor, con @recado/client',
      qos: 'QoS 0, 1 y 2: @recado/client con Recado',
      tls: 'Con TLS y sin él: @recado/client con Recado, QoS 1',
    },
    leads: {
      steady: 'Latencia en milisegundos, del peor de los dos sentidos.',
      devices: 'Latencia en milisegundos, p50 / p95, del peor sentido; entre paréntesis, lo perdido.',
      servers: 'Como arriba.',
      faults:
        'Segundos hasta que el dispositivo, y el servidor, dieron la conexión por perdida, desde el comienzo del fallo; y hasta\n' +
        'que llegaron mensajes en ambos sentidos, desde su fin. Entre paréntesis, lo perdido (−) o repetido (+).',
      faultServers: 'Como arriba.',
      qos: 'Perdidos / repetidos / desordenados; p95 de la latencia en milisegundos; bytes en la línea por mensaje.',
      tls: 'p95 de la latencia en milisegundos; bytes por mensaje; segundos para recuperarse de un fallo.',
    },
    latencyChart: 'Latencia con QoS 1 en una mala línea, milisegundos, logarítmica: p50, p95, la mayor',
    recoveryChart:
      'Segundos hasta que el dispositivo y el servidor notan un fallo, y desde su fin hasta que hay mensajes',
    deviceNoticed: 'lo nota el dispositivo',
    serverNoticed: 'lo nota el servidor',
    recovered: 'vuelven los mensajes',
  },
}
