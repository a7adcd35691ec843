/*
 * The stacks of examples/aws: what is in their templates, that they need no network to be made, and that the user data
 * makes a broker of a fresh Debian (in a layer above this one; user-data/try.sh).
 *
 * aws-cdk-lib is large, so it is no part of the workspace's own `npm ci`: this test installs it in the example's folder
 * (docs/adr/0020-examples-with-packages-of-their-own.md).
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { findPeer, skipWithout } from '@recado/testkit'
import { ownArchitecture } from '../../packaging/lib/architectures.mjs'
import { canLayer, runInLayer } from '../../packaging/lib/layer.mjs'
import { debForTests } from '../../packaging/lib/once.mjs'
import { installExample } from '../../tools/lib/install-example.mjs'
import { root, run } from '../../tools/lib/workspace.mjs'

const here = import.meta.dirname
const scratch = mkdtempSync(join(tmpdir(), 'recado-aws-'))
const DEB = join(scratch, 'recado_0.0.0_arm64.deb')
let aws

const skip = installExample(here)

before(async () => {
  if (skip !== false) return
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  run(process.execPath, [tsc, '-p', here], { what: 'The build of examples/aws' })
  const load = (name) => import(pathToFileURL(join(here, 'dist', `${name}.js`)).href)
  const [{ Context }, { BrokerStack }, { IotCoreStack, bridgeConfiguration }] = await Promise.all(
    ['context', 'broker-stack', 'iot-core-stack'].map(load),
  )
  const { App } = createRequire(join(here, 'package.json'))('aws-cdk-lib')
  aws = { App, Context, BrokerStack, IotCoreStack, bridgeConfiguration }
  writeFileSync(DEB, 'a package')
})
after(() => rmSync(scratch, { recursive: true, force: true }))

const ZONE = { domain: 'mqtt.example.org', zone: 'Z0123456789ABC:example.org' }

function synthesize(variant, context) {
  const app = new aws.App({ context, outdir: mkdtempSync(join(scratch, 'out-')), analyticsReporting: false })
  const read = new aws.Context(app)
  read.oneOf('variant', ['broker', 'iot-core'])
  const stack =
    variant === 'broker'
      ? new aws.BrokerStack(app, 'Recado', read.broker())
      : new aws.IotCoreStack(app, 'RecadoIotCore', read.iotCore())
  read.refuseUnread()
  const assembly = app.synth()
  // A look-up would ask the account, and leave what it misses here.
  assert.equal(assembly.manifest.missing, undefined)
  const { Resources, Outputs, Parameters } = assembly.getStackByName(stack.stackName).template
  const ofType = (type) =>
    Object.entries(Resources)
      .filter(([, each]) => each.Type === type)
      .map(([id, each]) => ({ id, ...each, ...each.Properties }))
  const only = (type) => {
    const found = ofType(type)
    assert.equal(found.length, 1, `${type}: ${found.length}`)
    return found[0]
  }
  return { ofType, only, Outputs, Parameters, text: JSON.stringify(Resources) }
}

let made
/** Template of the broker's stack, made once. */
const broker = () => {
  made ??= synthesize('broker', { deb: DEB, ...ZONE, email: 'ada@example.org' })
  return made
}

test('the load balancer takes MQTT and WebSocket over TLS, by IPv4 and IPv6, and tells who the client is', {
  skip,
}, () => {
  const { only, ofType } = broker()
  const balancer = only('AWS::ElasticLoadBalancingV2::LoadBalancer')
  assert.equal(balancer.IpAddressType, 'dualstack')
  assert.equal(balancer.Scheme, 'internet-facing')
  const listeners = ofType('AWS::ElasticLoadBalancingV2::Listener')
  assert.deepEqual(
    listeners.map(({ Port, Protocol, Certificates }) => [Port, Protocol, Certificates.length]),
    [
      [8883, 'TLS', 1],
      [443, 'TLS', 1],
    ],
  )
  for (const { SslPolicy } of listeners) assert.match(SslPolicy, /TLS13/)
  const targets = ofType('AWS::ElasticLoadBalancingV2::TargetGroup')
  assert.deepEqual(
    targets.map(({ Port }) => Port),
    [1883, 8080],
  )
  for (const { TargetGroupAttributes } of targets) {
    const attributes = Object.fromEntries(TargetGroupAttributes.map(({ Key, Value }) => [Key, Value]))
    assert.equal(attributes['proxy_protocol_v2.enabled'], 'true')
    assert.equal(attributes['preserve_client_ip.enabled'], 'false')
  }
  assert.equal(only('AWS::CertificateManager::Certificate').DomainName, 'mqtt.example.org')
  assert.deepEqual(
    ofType('AWS::Route53::RecordSet').map(({ Name, Type: _type, Properties }) => [Name, Properties.Type]),
    [
      ['mqtt.example.org.', 'A'],
      ['mqtt.example.org.', 'AAAA'],
    ],
  )
})

test('only the load balancer reaches the machine, and nobody by SSH', { skip }, () => {
  const { ofType, text } = broker()
  const groups = ofType('AWS::EC2::SecurityGroup')
  const open = groups.flatMap(({ SecurityGroupIngress = [] }) => SecurityGroupIngress)
  assert.deepEqual([...new Set(open.map(({ FromPort }) => FromPort))].sort(), [443, 8883])
  const [front] = groups.filter(({ SecurityGroupIngress }) => SecurityGroupIngress !== undefined)
  const inner = ofType('AWS::EC2::SecurityGroupIngress')
  assert.deepEqual(
    inner.map(({ FromPort, ToPort }) => [FromPort, ToPort]),
    [
      [1883, 1883],
      [8080, 8080],
    ],
  )
  for (const { SourceSecurityGroupId, CidrIp } of inner) {
    assert.deepEqual(SourceSecurityGroupId, { 'Fn::GetAtt': [front.id, 'GroupId'] })
    assert.equal(CidrIp, undefined)
  }
  assert.doesNotMatch(text, /"KeyName"|"FromPort":22\b/)
})

test('one machine at a time: the old one goes before the new one comes', { skip }, () => {
  const { only } = broker()
  const group = only('AWS::AutoScaling::AutoScalingGroup')
  assert.deepEqual([group.MinSize, group.MaxSize], ['1', '1'])
  assert.equal(group.UpdatePolicy.AutoScalingRollingUpdate.MinInstancesInService, 0)
  assert.equal(group.UpdatePolicy.AutoScalingRollingUpdate.WaitOnResourceSignals, true)
  assert.equal(group.HealthCheckType, 'ELB')
  assert.equal(group.VPCZoneIdentifier.length, 1)
  const volume = only('AWS::EC2::Volume')
  assert.equal(volume.Encrypted, true)
  assert.equal(volume.DeletionPolicy, 'Snapshot')
  assert.equal(volume.UpdateReplacePolicy, 'Snapshot')
  // The volume and the machine are in the same zone.
  const subnet = only('AWS::EC2::Subnet')
  assert.deepEqual(volume.AvailabilityZone, subnet.AvailabilityZone)
  assert.deepEqual(group.VPCZoneIdentifier, [{ Ref: subnet.id }])
  const { LaunchTemplateData: machine } = only('AWS::EC2::LaunchTemplate')
  assert.equal(machine.InstanceType, 't4g.small')
  assert.equal(machine.MetadataOptions.HttpTokens, 'required')
  assert.equal(machine.BlockDeviceMappings[0].Ebs.Encrypted, true)
})

test('every right is for one resource, but for those of Systems Manager, which know none', { skip }, () => {
  const { ofType } = broker()
  const statements = ofType('AWS::IAM::Policy').flatMap(({ PolicyDocument }) => PolicyDocument.Statement)
  const wide = statements.filter(({ Resource }) => [Resource].flat().includes('*'))
  assert.deepEqual(
    wide.flatMap(({ Action }) => Action).filter((action) => !/^ssm(?:messages)?:/.test(action)),
    [],
  )
  const actions = statements.flatMap(({ Action }) => Action)
  assert.deepEqual(
    actions.filter((action) => action.includes('*')),
    [],
  )
  assert.deepEqual([...new Set(actions.filter((action) => !action.startsWith('ssm')))].sort(), [
    'cloudformation:SignalResource',
    'ec2:AttachVolume',
    'logs:CreateLogStream',
    'logs:PutLogEvents',
    's3:GetObject',
    'secretsmanager:DescribeSecret',
    'secretsmanager:GetSecretValue',
  ])
  const attach = statements.find(({ Action }) => Action === 'ec2:AttachVolume')
  assert.ok(attach.Condition['ForAnyValue:StringEquals'])
  const managed = ofType('AWS::IAM::Role').flatMap(({ ManagedPolicyArns = [] }) => ManagedPolicyArns)
  assert.match(JSON.stringify(managed), /AWSDataLifecycleManagerServiceRole/)
  assert.equal(managed.length, 1)
})

test('the volume has daily snapshots, and alarms have a receiver', { skip }, () => {
  const { only, ofType } = broker()
  const { PolicyDetails } = only('AWS::DLM::LifecyclePolicy')
  const tags = only('AWS::EC2::Volume').Tags
  for (const tag of PolicyDetails.TargetTags)
    assert.ok(tags.some(({ Key, Value }) => Key === tag.Key && Value === tag.Value))
  assert.equal(PolicyDetails.Schedules[0].RetainRule.Count, 7)
  const topic = only('AWS::SNS::Topic')
  assert.equal(only('AWS::SNS::Subscription').Endpoint, 'ada@example.org')
  const alarms = ofType('AWS::CloudWatch::Alarm')
  assert.deepEqual(alarms.map(({ id }) => id.replace(/[0-9A-F]{8}$/, '')).sort(), [
    'Cpu',
    'Disk',
    'Dropped',
    'Memory',
    'Silent',
    'Unreachable',
  ])
  for (const { AlarmActions } of alarms) assert.deepEqual(AlarmActions, [{ Ref: topic.id }])
})

/** User data of the template as the machine would get it. */
function userData() {
  const { only } = broker()
  const values = {
    'AWS::Region': 'eu-west-1',
    'AWS::StackName': 'Recado',
    [only('AWS::EC2::Volume').id]: 'vol-0123',
  }
  const resolve = (value) => {
    if (typeof value === 'string') return value
    if (value.Ref !== undefined) return values[value.Ref] ?? value.Ref
    if (value['Fn::Sub'] !== undefined)
      return value['Fn::Sub'].replace(/\$\{([^}]+)\}/g, (_, name) => values[name] ?? name)
    assert.ok(value['Fn::Join'], JSON.stringify(value))
    return value['Fn::Join'][1].map(resolve).join(value['Fn::Join'][0])
  }
  return resolve(only('AWS::EC2::LaunchTemplate').LaunchTemplateData.UserData['Fn::Base64'])
}

test('every number that an alarm or graph reads is one that the machine writes', { skip }, () => {
  const { ofType } = broker()
  const written = [...userData().matchAll(/^\t(\w+): \."\$SYS/gm)].map(([, name]) => name)
  assert.deepEqual(
    ofType('AWS::Logs::MetricFilter').map(({ MetricTransformations }) => MetricTransformations[0].MetricName),
    written,
  )
})

const shellcheck = skip || skipWithout('shellcheck')
test('the user data is good shell and fits into 16 KB', { skip: shellcheck }, () => {
  const text = userData()
  assert.ok(Buffer.byteLength(text) < 16_384, `${Buffer.byteLength(text)} bytes`)
  assert.match(text, /^#!\/bin\/sh\nREGION='eu-west-1'\n/)
  const script = join(scratch, 'user-data.sh')
  writeFileSync(script, text)
  const { path } = findPeer('shellcheck')
  for (const file of [script, join(here, 'user-data', 'try.sh')]) {
    const { stdout, status } = spawnSync(path, [file], { encoding: 'utf8' })
    assert.equal(status, 0, stdout)
  }
})

const isDebian = ownArchitecture !== undefined && spawnSync('dpkg-deb', ['--version']).status === 0
const hasLoopDevices = spawnSync('losetup', ['--find']).status === 0
const trySkip =
  skip ||
  (canLayer && isDebian && hasLoopDevices
    ? skipWithout('jq', 'curl')
    : 'the user data needs Debian, root, namespaces and loop devices')
test('the user data makes a broker of a fresh machine, and of the next one with the same volume', {
  skip: trySkip,
}, async () => {
  const deb = await debForTests(scratch)
  const template = synthesize('broker', { deb, ...ZONE })
  made = template
  const script = join(scratch, 'cloud-init')
  writeFileSync(script, userData())
  const { status, text } = runInLayer('/', [join(here, 'user-data', 'try.sh'), script, deb], scratch, 'pipe')
  assert.equal(status, 0, text)
  assert.match(text, /^all steps passed$/m)
})

test('a wrong value on the command line is refused with what to do', { skip }, () => {
  const cases = [
    [{ deb: DEB }, /TLS needs a certificate: -c domain=/],
    [{ ...ZONE }, /-c deb=FILE is missing/],
    [{ deb: '/nowhere.deb', ...ZONE }, /\/nowhere\.deb: there is no such file/],
    [{ deb: DEB, ...ZONE, instance: 't3.small' }, /-c instance=t3\.small: write it like t4g\.small/],
    [{ deb: DEB, ...ZONE, volume: '0' }, /-c volume=0: it must be a whole number from 1/],
    [{ deb: DEB, ...ZONE, domain: 'mqtt.example.com' }, /it is not in the zone example\.org/],
    [{ deb: DEB, ...ZONE, instnace: 't4g.small' }, /-c instnace: there is certificate, deb, domain/],
  ]
  for (const [context, expected] of cases) assert.throws(() => synthesize('broker', context), expected)
})

const openssl = skip || skipWithout('openssl')
test('the variant without a broker lets the bridge do what its configuration does, and nothing else', {
  skip: openssl,
}, () => {
  const make = (...args) => assert.equal(spawnSync('openssl', args, { cwd: scratch }).status, 0, args.join(' '))
  make(
    'req',
    '-new',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    'private.key',
    '-out',
    'house.csr',
    '-subj',
    '/CN=house-7',
  )
  make('x509', '-req', '-in', 'house.csr', '-signkey', 'private.key', '-out', 'certificate.pem', '-days', '2')
  const { only, Outputs } = synthesize('iot-core', {
    variant: 'iot-core',
    thing: 'house-7',
    csr: join(scratch, 'house.csr'),
  })
  assert.equal(
    only('AWS::IoT::Certificate').CertificateSigningRequest,
    readFileSync(join(scratch, 'house.csr'), 'utf8'),
  )
  const statements = only('AWS::IoT::Policy').PolicyDocument.Statement.map(({ Action, Resource }) => [
    Action,
    Resource['Fn::Join'][1].at(-1).split(':').at(-1),
  ])
  assert.deepEqual(statements, [
    ['iot:Connect', 'client/house-7'],
    [['iot:Publish', 'iot:RetainPublish'], 'topic/house-7/sensors/*'],
    ['iot:Subscribe', 'topicfilter/house-7/commands/*'],
    ['iot:Receive', 'topic/house-7/commands/*'],
  ])
  const text = Outputs.Bridge.Value
  assert.equal(text, aws.bridgeConfiguration('house-7'))
  const file = join(scratch, 'bridge.conf')
  writeFileSync(
    file,
    text.replace('ENDPOINT', 'a1b2c3-ats.iot.eu-west-1.amazonaws.com').replaceAll('/etc/recado/aws/', `${scratch}/`),
  )
  const recado = join(root, 'packages', 'recado', 'bin', 'recado.js')
  const { status, stderr } = spawnSync(process.execPath, [recado, '--test-config', '-c', file], { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  assert.doesNotMatch(stderr, /Warning.*bridge/i)
})
