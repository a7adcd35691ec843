import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadConfig } from '../config/config.ts'
import { answerTo } from './control-api.ts'

const config = loadConfig(
  { configFile: 'a.conf', dataFolder: null, ports: [], verbose: false, quiet: false },
  {
    read: () =>
      'listener 1883 127.0.0.1\nlistener 0 /run/a.sock\nlistener 9001\nprotocol websockets\nlistener 9883\nprotocol http_api\nlistener 8883\ncertfile a\nkeyfile b\n',
    list: () => [],
  },
)
const answered = (request: string): unknown => JSON.parse(answerTo(Buffer.from(request), config.listeners).text)
const refused = (error: string, command = 'Unknown command'): unknown => ({ responses: [{ command, error }] })

test('listListeners and listPlugins are answered as by Mosquitto 2.1', () => {
  const { text, done } = answerTo(
    Buffer.from('{"commands":[{"command":"listListeners","correlationData":"x"},{"command":"listPlugins"}]}'),
    config.listeners,
  )
  assert.equal(
    text,
    '{"responses":[{"command":"listListeners","data":{"listeners":[' +
      '{"port":1883,"protocol":"mqtt","bind-address":"127.0.0.1","tls":false},' +
      '{"port":0,"protocol":"mqtt","socket-path":"/run/a.sock","tls":false},' +
      '{"port":9001,"protocol":"mqtt+websockets","tls":false},' +
      '{"port":9883,"tls":false},' +
      '{"port":8883,"protocol":"mqtt","tls":true}]},"correlationData":"x"},' +
      '{"command":"listPlugins","data":{"plugins":[]}}]}',
  )
  assert.deepEqual(done, ['listListeners', 'listPlugins'])
})

test('what is no command is answered with the errors of Mosquitto 2.1', () => {
  assert.deepEqual(answered('nonsense'), refused('Payload not valid JSON'))
  for (const request of ['{}', '[]', '5', 'null', '{"commands":1}']) {
    assert.deepEqual(answered(request), refused('Invalid/missing commands'), request)
  }
  assert.deepEqual(answered('{"commands":[1]}'), refused('Command not an object'))
  assert.deepEqual(answered('{"commands":[{"x":1}]}'), refused('Missing command'))
  assert.deepEqual(answered('{"commands":[{"command":"fly"}]}'), refused('Unknown command', 'fly'))
  // The list ends with it.
  assert.deepEqual(answered('{"commands":[1,{"command":"fly"}]}'), refused('Command not an object'))
  assert.deepEqual(answered('{"commands":[{"x":1},2]}'), refused('Missing command'))
  const wrongData = '{"commands":[{"command":"listPlugins","correlationData":5}]}'
  assert.deepEqual(answered(wrongData), refused('Invalid correlationData data type.', 'listPlugins'))
})
