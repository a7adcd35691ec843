/**
 * Sparkplug B payloads (Eclipse Sparkplug 3.0, section 6.4): the Protocol Buffers message `org.eclipse.tahu.protobuf.Payload`
 * as a value that JSON can show, with metrics by name, alias, type and value.
 *
 * `decode.ts` loads it when a payload is looked at with it. The wire format is read here: three kinds of fields, known
 * from their numbers; fields that are not known are left out. Invariants: whatever the bytes are, it returns or throws,
 * and what it makes is no larger than a few times the bytes.
 */

/** Names of the data types by number. */
const typeNames: readonly string[] = [
  ...['Unknown', 'Int8', 'Int16', 'Int32', 'Int64', 'UInt8', 'UInt16', 'UInt32', 'UInt64', 'Float', 'Double'],
  ...['Boolean', 'String', 'DateTime', 'Text', 'UUID', 'DataSet', 'Bytes', 'File', 'Template', 'PropertySet'],
  ...['PropertySetList', 'Int8Array', 'Int16Array', 'Int32Array', 'Int64Array', 'UInt8Array', 'UInt16Array'],
  ...['UInt32Array', 'UInt64Array', 'FloatArray', 'DoubleArray', 'BooleanArray', 'StringArray', 'DateTimeArray'],
]
const signedBits: Readonly<Record<string, number>> = { Int8: 8, Int16: 16, Int32: 32, Int64: 64 }
/** Levels of templates, data sets and property sets in each other. */
const DEPTH_MAX = 16

type Value = unknown

/** A field of a message: its number, and a number or bytes. */
interface Field {
  readonly number: number
  readonly wire: number
  readonly value: bigint | Uint8Array
}

/** Reads the fields of a message. @throws RangeError where the bytes end in the midst of one, or are none */
function* fieldsOf(bytes: Uint8Array): Generator<Field> {
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (at >= bytes.length) throw new RangeError('it ends in the midst of a number')
      const byte = bytes[at++]!
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asUintN(64, value)
    }
    throw new RangeError('a number has more than ten bytes')
  }
  const take = (length: number): Uint8Array => {
    if (length > bytes.length - at) throw new RangeError('it ends in the midst of a field')
    at += length
    return bytes.subarray(at - length, at)
  }
  while (at < bytes.length) {
    const tag = Number(varint() & 0xffff_ffffn)
    const [number, wire] = [tag >>> 3, tag & 7]
    if (number === 0) throw new RangeError('a field has the number 0')
    if (wire === 0) yield { number, wire, value: varint() }
    else if (wire === 1) yield { number, wire, value: take(8) }
    else if (wire === 2) yield { number, wire, value: take(Number(varint())) }
    else if (wire === 5) yield { number, wire, value: take(4) }
    else throw new RangeError(`a field has the wire type ${wire}`)
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true })
const bytesIn = ({ value }: Field): Uint8Array => {
  if (typeof value === 'bigint') throw new RangeError('a number stands where bytes should')
  return value
}
const textIn = (field: Field): string => decoder.decode(bytesIn(field))
const bigIn = ({ value }: Field): bigint => {
  if (typeof value !== 'bigint') throw new RangeError('bytes stand where a number should')
  return value
}
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** A number that JSON can write without loss, or its digits. */
const plainNumber = (value: bigint): number | string =>
  value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : String(value)

/** Time as ISO 8601, in UTC. */
function timeOf(milliseconds: bigint): string | number {
  const value = Number(milliseconds)
  return Number.isFinite(new Date(value).getTime()) ? new Date(value).toISOString() : value
}

const typeOf = (number: number): string => typeNames[number] ?? `type ${number}`

/** A value by its field: whole numbers by their type, `offset` is the number of the field int_value. */
function readValue(field: Field, type: string, offset: number, depth: number): Value {
  switch (field.number - offset) {
    case 0:
    case 1: {
      const raw = bigIn(field)
      if (type === 'DateTime') return timeOf(raw)
      const bits = signedBits[type]
      return plainNumber(bits === undefined ? raw : BigInt.asIntN(bits, raw))
    }
    case 2:
      return floatOf(bytesIn(field), 4)
    case 3:
      return floatOf(bytesIn(field), 8)
    case 4:
      return bigIn(field) !== 0n
    case 5:
      return textIn(field)
    case 6:
      return offset === 10 ? arrayOf(bytesIn(field), type) : propertySet(bytesIn(field), depth + 1)
    case 7:
      return offset === 10 ? dataSet(bytesIn(field), depth + 1) : propertySets(bytesIn(field), depth + 1)
    case 8:
      return template(bytesIn(field), depth + 1)
    default:
      return undefined
  }
}

function floatOf(bytes: Uint8Array, length: number): number | string {
  if (bytes.length !== length) throw new RangeError('a floating-point number has another length')
  const value = length === 4 ? viewOf(bytes).getFloat32(0, true) : viewOf(bytes).getFloat64(0, true)
  if (!Number.isFinite(value)) return String(value)
  // As it was meant: 21.5 and not the nearest double of a float.
  return length === 4 ? Number(value.toPrecision(7)) : value
}

const elementBytes: Readonly<Record<string, number>> = {
  ...{ Int8Array: 1, UInt8Array: 1, Int16Array: 2, UInt16Array: 2, Int32Array: 4, UInt32Array: 4, FloatArray: 4 },
  ...{ Int64Array: 8, UInt64Array: 8, DoubleArray: 8, DateTimeArray: 8 },
}

/** Elements of an array type; other bytes as they are. */
function arrayOf(bytes: Uint8Array, type: string): Value {
  const view = viewOf(bytes)
  const size = elementBytes[type]
  if (size !== undefined) {
    if (bytes.length % size !== 0) throw new RangeError(`${type} has ${bytes.length} bytes`)
    return Array.from({ length: bytes.length / size }, (_, i): Value => {
      const at = i * size
      switch (type) {
        case 'Int8Array':
          return view.getInt8(at)
        case 'UInt8Array':
          return view.getUint8(at)
        case 'Int16Array':
          return view.getInt16(at, true)
        case 'UInt16Array':
          return view.getUint16(at, true)
        case 'Int32Array':
          return view.getInt32(at, true)
        case 'UInt32Array':
          return view.getUint32(at, true)
        case 'FloatArray':
          return floatOf(bytes.subarray(at, at + 4), 4)
        case 'DoubleArray':
          return floatOf(bytes.subarray(at, at + 8), 8)
        case 'Int64Array':
          return plainNumber(view.getBigInt64(at, true))
        case 'DateTimeArray':
          return timeOf(view.getBigInt64(at, true))
        default:
          return plainNumber(view.getBigUint64(at, true))
      }
    })
  }
  if (type === 'BooleanArray') {
    const count = bytes.length < 4 ? 0 : view.getUint32(0, true)
    if (count > (bytes.length - 4) * 8) throw new RangeError('BooleanArray has too few bytes')
    return Array.from({ length: count }, (_, i) => (bytes[4 + (i >> 3)]! & (0x80 >> (i & 7))) !== 0)
  }
  if (type === 'StringArray') return bytes.length === 0 ? [] : decoder.decode(bytes).replace(/\0$/, '').split('\0')
  return bytes
}

function deeper(depth: number): void {
  if (depth > DEPTH_MAX) throw new RangeError(`more than ${DEPTH_MAX} levels`)
}

/** A value of a property set, which has its type beside it. */
function propertyValue(bytes: Uint8Array, depth: number): Value {
  let type = 'Unknown'
  let value: Value = null
  for (const field of fieldsOf(bytes)) if (field.number === 1) type = typeOf(Number(bigIn(field)))
  for (const field of fieldsOf(bytes)) {
    if (field.number === 2 && bigIn(field) !== 0n) value = null
    else if (field.number >= 3 && field.number <= 10) value = readValue(field, type, 3, depth)
  }
  return value
}

function propertySet(bytes: Uint8Array, depth: number): Value {
  deeper(depth)
  const keys: string[] = []
  const values: Value[] = []
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) keys.push(textIn(field))
    else if (field.number === 2) values.push(propertyValue(bytesIn(field), depth))
  }
  return new Map(keys.map((key, i) => [key, values[i] ?? null]))
}

function propertySets(bytes: Uint8Array, depth: number): Value {
  deeper(depth)
  return [...fieldsOf(bytes)]
    .filter(({ number }) => number === 1)
    .map((field) => propertySet(bytesIn(field), depth + 1))
}

function dataSet(bytes: Uint8Array, depth: number): Value {
  deeper(depth)
  const columns: string[] = []
  const types: string[] = []
  const rows: Uint8Array[] = []
  for (const field of fieldsOf(bytes)) {
    if (field.number === 2) columns.push(textIn(field))
    else if (field.number === 3) {
      // Packed or one by one.
      if (field.wire === 0) types.push(typeOf(Number(bigIn(field))))
      else for (const type of packed(bytesIn(field))) types.push(typeOf(type))
    } else if (field.number === 4) rows.push(bytesIn(field))
  }
  const cell = (of: Field, column: number): Value => {
    for (const field of fieldsOf(bytesIn(of))) {
      if (field.number >= 1 && field.number <= 6) return readValue(field, types[column] ?? '', 1, depth)
    }
    return null
  }
  const rowOf = (row: Uint8Array): Value => [...fieldsOf(row)].filter(({ number }) => number === 1).map(cell)
  return { columns, types, rows: rows.map(rowOf) }
}

function packed(bytes: Uint8Array): number[] {
  const numbers: number[] = []
  let [value, shift] = [0, 0]
  for (const byte of bytes) {
    value += (byte & 0x7f) * 2 ** shift
    shift += 7
    if (byte >= 0x80) continue
    numbers.push(value)
    value = 0
    shift = 0
  }
  return numbers
}

function template(bytes: Uint8Array, depth: number): Value {
  deeper(depth)
  const made: Record<string, Value> = {}
  const metrics: Value[] = []
  const parameters: Value[] = []
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) made['version'] = textIn(field)
    else if (field.number === 2) metrics.push(metric(bytesIn(field), depth))
    else if (field.number === 3) parameters.push(parameter(bytesIn(field), depth))
    else if (field.number === 4) made['templateRef'] = textIn(field)
    else if (field.number === 5) made['isDefinition'] = bigIn(field) !== 0n
  }
  return { ...made, ...(parameters.length === 0 ? {} : { parameters }), metrics }
}

function parameter(bytes: Uint8Array, depth: number): Value {
  let [name, type]: [string, string] = ['', 'Unknown']
  let value: Value = null
  for (const field of fieldsOf(bytes)) if (field.number === 2) type = typeOf(Number(bigIn(field)))
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) name = textIn(field)
    else if (field.number >= 3 && field.number <= 8) value = readValue(field, type, 3, depth)
  }
  return { name, type, value }
}

function metric(bytes: Uint8Array, depth: number, names?: ReadonlyMap<string, string>): Value {
  const made: Record<string, Value> = {}
  let type: string | null = null
  let value: Value
  // The type may stand behind the value.
  for (const field of fieldsOf(bytes)) if (field.number === 4) type = typeOf(Number(bigIn(field)))
  for (const field of fieldsOf(bytes)) {
    const { number } = field
    if (number === 1) made['name'] = textIn(field)
    else if (number === 2) made['alias'] = plainNumber(bigIn(field))
    else if (number === 3) made['timestamp'] = timeOf(bigIn(field))
    else if (number === 5 && bigIn(field) !== 0n) made['isHistorical'] = true
    else if (number === 6 && bigIn(field) !== 0n) made['isTransient'] = true
    else if (number === 7 && bigIn(field) !== 0n) value = null
    else if (number === 9) made['properties'] = propertySet(bytesIn(field), depth + 1)
    else if (number >= 10 && number <= 18) value = readValue(field, type ?? '', 10, depth)
  }
  const name = made['name'] ?? names?.get(String(made['alias']))
  return { ...(name === undefined ? {} : { name }), ...made, ...(type === null ? {} : { type }), value: value ?? null }
}

/**
 * Reads a payload.
 * @param names names of metrics by alias, for those that have the alias alone
 * @throws RangeError or TypeError when it is none
 */
export function sparkplug(bytes: Uint8Array, names: ReadonlyMap<string, string> = new Map()): unknown {
  const made: Record<string, Value> = {}
  const metrics: Value[] = []
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) made['timestamp'] = timeOf(bigIn(field))
    else if (field.number === 2) metrics.push(metric(bytesIn(field), 0, names))
    else if (field.number === 3) made['seq'] = plainNumber(bigIn(field))
    else if (field.number === 4) made['uuid'] = textIn(field)
    else if (field.number === 5) made['body'] = bytesIn(field)
    else throw new RangeError(`a payload has no field ${field.number}`)
  }
  return { ...made, metrics }
}
