/**
 * Payloads of Sparkplug B (version 3.0 of its specification, section 6.4) as plain values, with the names of its
 * fields.
 *
 * Called by `payload-decoding.ts`. A birth gives metrics short numbers, aliases, which later messages use alone: names
 * are put in their place, as long as the birth has been seen. Invariant: memory is bounded for any bytes, and a fault
 * is a `ProtobufError`.
 */
import { doubleOf, type Field, fieldsOf, floatOf, ProtobufError, viewOf } from './protobuf.ts'

/** Names of data types, by their numbers. */
const typeNames = [
  ...[
    'Unknown',
    'Int8',
    'Int16',
    'Int32',
    'Int64',
    'UInt8',
    'UInt16',
    'UInt32',
    'UInt64',
    'Float',
    'Double',
    'Boolean',
  ],
  ...['String', 'DateTime', 'Text', 'UUID', 'DataSet', 'Bytes', 'File', 'Template', 'PropertySet', 'PropertySetList'],
  ...['Int8Array', 'Int16Array', 'Int32Array', 'Int64Array', 'UInt8Array', 'UInt16Array', 'UInt32Array', 'UInt64Array'],
  ...['FloatArray', 'DoubleArray', 'BooleanArray', 'StringArray', 'DateTimeArray'],
]

const NESTING_MAX = 32
/** Number of edge nodes whose births are remembered, and of aliases of one. */
const NODES_MAX = 1_000
const ALIASES_MAX = 10_000

export type Value =
  | string
  | number
  | bigint
  | boolean
  | null
  | Uint8Array
  | readonly Value[]
  | { [name: string]: Value }
type Fields = { [name: string]: Value }

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** Whether a topic is one of Sparkplug's with such a payload; `STATE` messages are JSON. */
export function isSparkplugTopic(topic: string): boolean {
  return nodeOf(topic) !== null
}

/** `group/node` of `spBv1.0/group/TYPE/node[/device]`; null for another topic. */
function nodeOf(topic: string): string | null {
  const levels = topic.replace(/^\$sparkplug\/certificates\//, '').split('/')
  const [namespace, group, type, node] = levels
  if (namespace !== 'spBv1.0' || levels.length < 4 || levels.length > 5) return null
  return /^[ND](?:BIRTH|DEATH|DATA|CMD)$/.test(type ?? '') ? `${group}/${node}` : null
}

export class SparkplugDecoder {
  /** Names of metrics by alias, for each edge node; the node used last is at the end. */
  readonly #aliases = new Map<string, Map<bigint, string>>()

  /** Decodes a payload. @throws ProtobufError */
  decode(topic: string, payload: Uint8Array): Value {
    const decoded = payloadOf(payload)
    const node = nodeOf(topic)
    if (node !== null) this.#name(node, topic.includes('/NBIRTH/'), decoded['metrics'])
    return decoded
  }

  #name(node: string, isNew: boolean, metrics: Value | undefined): void {
    const names = (isNew ? undefined : this.#aliases.get(node)) ?? new Map<bigint, string>()
    this.#aliases.delete(node)
    this.#aliases.set(node, names)
    if (this.#aliases.size > NODES_MAX) this.#aliases.delete(this.#aliases.keys().next().value!)
    for (const metric of (metrics ?? []) as readonly Fields[]) {
      const { alias, name } = metric
      if (typeof alias !== 'bigint') continue
      if (typeof name === 'string' && names.size < ALIASES_MAX) names.set(alias, name)
      else if (name === undefined && names.has(alias)) metric['name'] = names.get(alias)!
    }
  }
}

function payloadOf(bytes: Uint8Array): Fields {
  const result: Fields = {}
  const metrics: Value[] = []
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) result['timestamp'] = field.integer
    else if (field.number === 2) metrics.push(metricOf(field.bytes, 0))
    else if (field.number === 3) result['seq'] = field.integer
    else if (field.number === 4) result['uuid'] = text(field.bytes)
    else if (field.number === 5) result['body'] = field.bytes
  }
  return { ...result, metrics }
}

function deeper(depth: number): number {
  if (depth >= NESTING_MAX) throw new ProtobufError('it is nested too deeply')
  return depth + 1
}

const METRIC_NAMES: Readonly<Record<number, string>> = { 5: 'isHistorical', 6: 'isTransient' }

function metricOf(bytes: Uint8Array, depth: number): Fields {
  const metric: Fields = {}
  let type = 0
  let value: Field | null = null
  let isNull = false
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) metric['name'] = text(field.bytes)
    else if (field.number === 2) metric['alias'] = field.integer
    else if (field.number === 3) metric['timestamp'] = field.integer
    else if (field.number === 4) type = Number(field.integer)
    else if (field.number === 7) isNull = field.integer !== 0n
    else if (field.number === 8) metric['metadata'] = metadataOf(field.bytes)
    else if (field.number === 9) metric['properties'] = propertySetOf(field.bytes, deeper(depth))
    else if (field.number >= 10 && field.number <= 18) value = field
    else if (field.number in METRIC_NAMES) metric[METRIC_NAMES[field.number]!] = field.integer !== 0n
  }
  if (type !== 0) metric['type'] = typeNames[type] ?? type
  if (isNull) metric['value'] = null
  else if (value !== null) metric['value'] = metricValue(value, type, deeper(depth))
  return metric
}

/**
 * Returns the value of a oneof whose members stand in the same order in metrics, properties and parameters; `base` is
 * the number of the first one.
 */
function simpleValue({ number, integer, bytes }: Field, base: number, type: number): Value {
  switch (number - base) {
    case 0:
    case 1:
      return signed(integer, type)
    case 2:
      return floatOf(bytes)
    case 3:
      return doubleOf(bytes)
    case 4:
      return integer !== 0n
    default:
      return text(bytes)
  }
}

function metricValue(field: Field, type: number, depth: number): Value {
  if (field.number === 16) return type >= 22 ? arrayOf(field.bytes, type) : field.bytes
  if (field.number === 17) return dataSetOf(field.bytes)
  if (field.number === 18) return templateOf(field.bytes, depth)
  return simpleValue(field, 10, type)
}

/** Converts the two's complement in which negative numbers are sent, of 32 or 64 bits. */
function signed(integer: bigint, type: number): Value {
  const bits = [0, 8, 16, 32, 64][type]
  const value = bits === undefined || bits === 0 ? integer : BigInt.asIntN(bits, integer)
  return type === 4 || type === 8 || type === 13 ? value : Number(value)
}

function arrayOf(bytes: Uint8Array, type: number): Value {
  const view = viewOf(bytes)
  const each = (size: number, read: (at: number) => Value): Value[] => {
    return Array.from({ length: Math.floor(bytes.length / size) }, (_, index) => read(index * size))
  }
  switch (typeNames[type]) {
    case 'Int8Array':
      return each(1, (at) => view.getInt8(at))
    case 'Int16Array':
      return each(2, (at) => view.getInt16(at, true))
    case 'Int32Array':
      return each(4, (at) => view.getInt32(at, true))
    case 'Int64Array':
      return each(8, (at) => view.getBigInt64(at, true))
    case 'UInt8Array':
      return each(1, (at) => view.getUint8(at))
    case 'UInt16Array':
      return each(2, (at) => view.getUint16(at, true))
    case 'UInt32Array':
      return each(4, (at) => view.getUint32(at, true))
    case 'UInt64Array':
    case 'DateTimeArray':
      return each(8, (at) => view.getBigUint64(at, true))
    case 'FloatArray':
      return each(4, (at) => view.getFloat32(at, true))
    case 'DoubleArray':
      return each(8, (at) => view.getFloat64(at, true))
    case 'StringArray':
      // Each ends with a zero byte.
      return text(bytes).split('\0').slice(0, -1)
    case 'BooleanArray': {
      const count = bytes.length < 4 ? 0 : Math.min(view.getUint32(0, true), (bytes.length - 4) * 8)
      return Array.from({ length: count }, (_, index) => (bytes[4 + (index >> 3)]! & (0x80 >> (index & 7))) !== 0)
    }
    default:
      return bytes
  }
}

function metadataOf(bytes: Uint8Array): Fields {
  const names = ['', 'isMultiPart', 'contentType', 'size', 'seq', 'fileName', 'fileType', 'md5', 'description']
  const result: Fields = {}
  for (const { number, integer, bytes: value } of fieldsOf(bytes)) {
    const name = names[number]
    if (name === undefined) continue
    result[name] = number === 1 ? integer !== 0n : number === 3 || number === 4 ? integer : text(value)
  }
  return result
}

function propertySetOf(bytes: Uint8Array, depth: number): Fields {
  const keys: string[] = []
  const values: Value[] = []
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) keys.push(text(field.bytes))
    else if (field.number === 2) values.push(propertyOf(field.bytes, depth))
  }
  return Object.fromEntries(keys.map((key, index) => [key, values[index] ?? null]))
}

function propertyOf(bytes: Uint8Array, depth: number): Value {
  let type = 0
  let value: Value = null
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) type = Number(field.integer)
    else if (field.number >= 3 && field.number <= 8) value = simpleValue(field, 3, type)
    else if (field.number === 9) value = propertySetOf(field.bytes, deeper(depth))
    else if (field.number === 10) {
      const sets = [...fieldsOf(field.bytes)].filter(({ number }) => number === 1)
      value = sets.map((set) => propertySetOf(set.bytes, deeper(depth)))
    }
  }
  return value
}

function dataSetOf(bytes: Uint8Array): Fields {
  const columns: string[] = []
  const types: number[] = []
  const rows: Uint8Array[] = []
  for (const field of fieldsOf(bytes)) {
    if (field.number === 2) columns.push(text(field.bytes))
    // One by one, or all together.
    else if (field.number === 3)
      types.push(...(field.bytes.length === 0 ? [Number(field.integer)] : packed(field.bytes)))
    else if (field.number === 4) rows.push(field.bytes)
  }
  return {
    columns,
    types: types.map((type) => typeNames[type] ?? type),
    rows: rows.map((row) => {
      const elements = [...fieldsOf(row)].filter(({ number }) => number === 1)
      return elements.map((element, index) => {
        const [value] = fieldsOf(element.bytes)
        return value === undefined ? null : simpleValue(value, 1, types[index] ?? 0)
      })
    }),
  }
}

/** Numbers without keys between them. */
function packed(bytes: Uint8Array): number[] {
  const numbers: number[] = []
  let value = 0
  let factor = 1
  for (const byte of bytes) {
    value += (byte & 0x7f) * factor
    factor *= 128
    if (byte >= 0x80) continue
    numbers.push(value)
    value = 0
    factor = 1
  }
  return numbers
}

function templateOf(bytes: Uint8Array, depth: number): Fields {
  const result: Fields = {}
  const metrics: Value[] = []
  const parameters: Value[] = []
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) result['version'] = text(field.bytes)
    else if (field.number === 2) metrics.push(metricOf(field.bytes, deeper(depth)))
    else if (field.number === 3) parameters.push(parameterOf(field.bytes))
    else if (field.number === 4) result['templateRef'] = text(field.bytes)
    else if (field.number === 5) result['isDefinition'] = field.integer !== 0n
  }
  return { ...result, metrics, ...(parameters.length === 0 ? {} : { parameters }) }
}

function parameterOf(bytes: Uint8Array): Fields {
  const result: Fields = {}
  let type = 0
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) result['name'] = text(field.bytes)
    else if (field.number === 2) type = Number(field.integer)
    else if (field.number <= 8) result['value'] = simpleValue(field, 3, type)
  }
  return { ...result, ...(type === 0 ? {} : { type: typeNames[type] ?? type }) }
}
