/** The plugin mosquitto-go-auth in a configuration: what is taken of it, and what ends the start. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hasLogins } from './admission.ts'
import { type Config, loadConfig } from './config.ts'

const load = (text: string): Config =>
  loadConfig(
    { configFile: 'a.conf', dataFolder: null, ports: [], verbose: false, quiet: false },
    { read: () => text, list: () => [] },
  )
/** A configuration with the plugin and these options. */
const withOptions = (...options: string[]): string =>
  ['listener 1883', 'auth_plugin /mosquitto/go-auth.so', ...options.map((option) => `auth_opt_${option}`)].join('\n')
const accessOf = (...options: string[]) => load(withOptions(...options)).listeners[0]!.access
const refused = (message: RegExp, ...options: string[]): void =>
  assert.throws(() => load(withOptions(...options)), { message })

const http = ['http_host 10.0.0.1', 'http_port 8090', 'http_getuser_uri /user', 'http_aclcheck_uri /acl']

test('files are password_file and acl_file, by the new names of their options and the old ones', () => {
  for (const prefix of ['files_', '']) {
    const text = withOptions('backends files', `${prefix}password_path /pw`, `${prefix}acl_path /acl`)
    const config = load(text)
    const { passwordFile, aclFile, goAuth } = config.listeners[0]!.access
    assert.deepEqual([passwordFile, aclFile, goAuth?.service], ['/pw', '/acl', null])
    assert.equal(hasLogins(config.listeners[0]!), true)
    assert.deepEqual(config.notes, [
      'a.conf:2: /mosquitto/go-auth.so is taken for password_file /pw',
      'a.conf:2: /mosquitto/go-auth.so is taken for acl_file /acl',
    ])
    assert.deepEqual(config.warnings, [])
  }
  const { passwordFile, aclFile } = accessOf(
    'backends files',
    'password_path /pw',
    'acl_path /a',
    'files_register user',
  )
  assert.deepEqual([passwordFile, aclFile], ['/pw', null])
})

test('http is a service that is asked as go-auth asks it', () => {
  const access = accessOf(
    'backends files, http',
    'files_password_path /pw',
    ...http,
    'http_superuser_uri /super',
    'http_with_tls true',
    'http_verify_peer true',
    'http_params_mode form',
    'http_response_mode text',
    'http_timeout 7',
    'cache true',
    'acl_cache_seconds 300',
    'acl_jitter_seconds 30',
    'log_level error',
    'hasher pbkdf2',
  )
  assert.deepEqual(access.goAuth, {
    service: {
      userUrl: 'https://10.0.0.1:8090/user',
      superuserUrl: 'https://10.0.0.1:8090/super',
      aclUrl: 'https://10.0.0.1:8090/acl',
      params: 'form',
      response: 'text',
      timeoutMs: 7_000,
      cacheSeconds: 300,
    },
    denySpecialCharacters: true,
    isFileAlone: false,
  })
  assert.deepEqual(access.warnings, [])
  const plain = accessOf('backends http', ...http, 'disable_superuser true', 'http_superuser_uri /super')
  const { superuserUrl, cacheSeconds, params, response } = plain.goAuth!.service!
  assert.deepEqual([superuserUrl, cacheSeconds, params, response], [null, 0, 'json', 'status'])
  const users = accessOf('backends http', ...http, 'http_register user').goAuth!.service!
  assert.deepEqual([users.userUrl !== null, users.aclUrl, users.superuserUrl], [true, null, null])
})

test('jwt takes the token in the user name, with its secret and the ACL file', () => {
  const { jwt, aclFile } = accessOf(
    'backends jwt',
    'jwt_mode files',
    'jwt_secret hush',
    'jwt_userfield Username',
    'jwt_acl_path /acl',
  )
  assert.equal(aclFile, '/acl')
  assert.deepEqual([jwt?.secret, jwt?.usernameClaim, jwt?.tokenIn], ['hush', 'username', 'username'])
  refused(/jwt_mode remote is not there.*webhook_login_url/, 'backends jwt', 'jwt_mode remote')
  refused(/"local" is not there/, 'backends jwt', 'jwt_mode local')
  refused(/needs auth_opt_jwt_acl_path/, 'backends jwt', 'jwt_mode files', 'jwt_secret x')
  refused(/needs auth_opt_jwt_secret/, 'backends jwt', 'jwt_mode files', 'jwt_acl_path /a')
  const skip = 'jwt_skip_user_expiration true'
  refused(/expired lets nobody in/, 'backends jwt', 'jwt_mode files', 'jwt_acl_path /a', 'jwt_secret x', skip)
})

test('databases end the start, with what to use instead', () => {
  for (const backend of ['postgres', 'mysql', 'sqlite', 'mongo', 'redis', 'grpc', 'js', 'plugin'])
    refused(
      new RegExp(`^a\\.conf:3: auth_opt_backends ${backend} is not there: .*(?:webhook|hooks)`),
      `backends files,${backend}`,
    )
  refused(/has no back-end "nonsense"/, 'backends nonsense')
  refused(/^a\.conf:2: auth_plugin .*needs auth_opt_backends/)
})

test('what cannot be taken is told', () => {
  refused(/utf-8 is not there/, 'backends files', 'hasher_salt_encoding utf-8')
  refused(/http_method GET is not there/, 'backends http', ...http, 'http_method GET')
  refused(/needs auth_opt_http_host/, 'backends http')
  refused(/must be one of json, form/, 'backends http', ...http, 'http_params_mode xml')
  refused(/must be a number of seconds/, 'backends http', ...http, 'http_timeout soon')
  refused(/makes no address/, 'backends http', 'http_host a b', ...http.slice(1))
  const { warnings } = load(withOptions('backends files', 'password_path /p', 'check_prefix true', 'unheard_of 1'))
  assert.match(warnings.join('\n'), /check_prefix has no effect.*\n.*auth_opt_unheard_of is not known/)
  const tls = load(withOptions('backends http', ...http, 'http_with_tls true'))
  assert.match(tls.warnings.join('\n'), /certificate of 10\.0\.0\.1 is checked/)
})

test('acl_file of the configuration decides alone, and password_file beside that of the plugin is an error', () => {
  const text = withOptions('backends files,http', 'files_acl_path /theirs', ...http)
  const { aclFile, goAuth, warnings } = load(`acl_file /own\n${text}`).listeners[0]!.access
  assert.deepEqual([aclFile, goAuth?.isFileAlone], ['/own', true])
  assert.match(warnings.join('\n'), /acl_file says who may do what/)
  const both = `password_file /own\n${withOptions('backends files', 'password_path /p')}`
  assert.throws(() => load(both), { message: /a\.conf:1: password_file stands in auth_opt_password_path \(line 5\)/ })
})

test('auth_plugin_deny_special_chars holds above and below the plugin', () => {
  const text = withOptions('backends files')
  assert.equal(load(text).listeners[0]!.access.goAuth!.denySpecialCharacters, true)
  assert.equal(
    load(`${text}\nauth_plugin_deny_special_chars false`).listeners[0]!.access.goAuth!.denySpecialCharacters,
    false,
  )
})
