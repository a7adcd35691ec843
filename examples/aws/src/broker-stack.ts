/*
 * A Recado broker of its own: one Graviton machine in an auto-scaling group, its data on an EBS volume that every machine
 * of the group attaches again, and a Network Load Balancer with TLS in front.
 *
 * app.ts makes it. Invariants: the volume is attached to one machine at a time, and outlives all of them and the stack
 * (as a snapshot); nothing but the load balancer reaches the machine; no action of its role is wider than its resource.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CfnOutput, Duration, RemovalPolicy, Size, Stack, Tags } from 'aws-cdk-lib'
import * as autoscaling from 'aws-cdk-lib/aws-autoscaling'
import * as acm from 'aws-cdk-lib/aws-certificatemanager'
import * as dlm from 'aws-cdk-lib/aws-dlm'
import * as ec2 from 'aws-cdk-lib/aws-ec2'
import * as balancing from 'aws-cdk-lib/aws-elasticloadbalancingv2'
import * as iam from 'aws-cdk-lib/aws-iam'
import * as logs from 'aws-cdk-lib/aws-logs'
import * as route53 from 'aws-cdk-lib/aws-route53'
import * as route53Targets from 'aws-cdk-lib/aws-route53-targets'
import * as assets from 'aws-cdk-lib/aws-s3-assets'
import * as secrets from 'aws-cdk-lib/aws-secretsmanager'
import type { Construct } from 'constructs'
import { watchBroker } from './broker-alarms.ts'

export interface BrokerOptions {
  /** Debian package for arm64. */
  readonly debFile: string
  /** A type with a Graviton processor. */
  readonly instanceType: string
  readonly volumeGibibytes: number
  /** Number of daily snapshots that are kept. */
  readonly snapshotsKept: number
  /** Name by which clients find the broker. */
  readonly domainName?: string
  /** Zone of Route 53 that has the name: the certificate and the records are made there. */
  readonly zone?: { readonly id: string; readonly name: string }
  /** Certificate of ACM that is there already. */
  readonly certificateArn?: string
  /** Receiver of the alarms. */
  readonly email?: string
}

const MQTT_PORT = 1883
const WEBSOCKET_PORT = 8080
const userData = join(import.meta.dirname, '..', 'user-data', 'broker.sh')

export class BrokerStack extends Stack {
  constructor(scope: Construct, id: string, options: BrokerOptions) {
    super(scope, id, { description: 'Recado MQTT broker' })
    // One zone: the volume is in one, so a machine in another could not have it.
    const vpc = new ec2.Vpc(this, 'Network', {
      maxAzs: 1,
      natGateways: 0,
      ipProtocol: ec2.IpProtocol.DUAL_STACK,
      subnetConfiguration: [{ name: 'Public', subnetType: ec2.SubnetType.PUBLIC, mapPublicIpOnLaunch: true }],
    })
    const volume = this.#volume(vpc, options)
    const front = new ec2.SecurityGroup(this, 'FrontGroup', {
      vpc,
      description: 'Load balancer: MQTT over TLS and WebSocket from everywhere',
      allowAllOutbound: false,
    })
    const machine = new ec2.SecurityGroup(this, 'MachineGroup', {
      vpc,
      description: 'Broker: the load balancer only',
      allowAllOutbound: true,
      allowAllIpv6Outbound: true,
    })
    for (const port of [MQTT_PORT, WEBSOCKET_PORT]) {
      machine.addIngressRule(front, ec2.Port.tcp(port), 'load balancer')
      front.addEgressRule(machine, ec2.Port.tcp(port), 'broker')
    }
    for (const port of [8883, 443]) {
      front.addIngressRule(ec2.Peer.anyIpv4(), ec2.Port.tcp(port), 'clients')
      front.addIngressRule(ec2.Peer.anyIpv6(), ec2.Port.tcp(port), 'clients')
    }

    const group = this.#machines(vpc, machine, volume, options)
    const balancer = new balancing.NetworkLoadBalancer(this, 'Balancer', {
      vpc,
      internetFacing: true,
      ipAddressType: balancing.IpAddressType.DUAL_STACK,
      securityGroups: [front],
    })
    const certificate = this.#certificate(options)
    const listen = (name: string, port: number, target: number) =>
      balancer
        .addListener(name, {
          port,
          protocol: balancing.Protocol.TLS,
          certificates: [certificate],
          sslPolicy: balancing.SslPolicy.RECOMMENDED_TLS,
        })
        .addTargets(`${name}Broker`, {
          port: target,
          protocol: balancing.Protocol.TCP,
          targets: [group],
          // The only way to learn the address of a client by IPv6, for the machine is reached by IPv4.
          proxyProtocolV2: true,
          preserveClientIp: false,
          deregistrationDelay: Duration.seconds(10),
          // The broker listens when it has read its store, so a connection says enough.
          healthCheck: {
            protocol: balancing.Protocol.TCP,
            port: String(target),
            interval: Duration.seconds(10),
            healthyThresholdCount: 2,
            unhealthyThresholdCount: 3,
          },
        })
    const mqtt = listen('Mqtt', 8883, MQTT_PORT)
    listen('WebSocket', 443, WEBSOCKET_PORT)
    this.#names(balancer, options)
    watchBroker(this, { group, targets: mqtt, numbers: this.#numbers, email: options.email })

    new CfnOutput(this, 'Address', { value: options.domainName ?? balancer.loadBalancerDnsName })
    new CfnOutput(this, 'Volume', { value: volume.volumeId })
    new CfnOutput(this, 'PasswordOfAdmin', {
      value: `aws secretsmanager get-secret-value --secret-id ${this.#password.secretArn} --query SecretString --output text`,
    })
    new CfnOutput(this, 'Shell', {
      value: `aws ssm start-session --target $(aws autoscaling describe-auto-scaling-groups --auto-scaling-group-names ${group.autoScalingGroupName} --query 'AutoScalingGroups[0].Instances[0].InstanceId' --output text)`,
    })
  }

  readonly #log = new logs.LogGroup(this, 'Log', { retention: logs.RetentionDays.ONE_MONTH })
  readonly #numbers = new logs.LogGroup(this, 'Numbers', {
    retention: logs.RetentionDays.ONE_WEEK,
    removalPolicy: RemovalPolicy.DESTROY,
  })
  readonly #password = new secrets.Secret(this, 'Password', {
    description: 'Password of the user admin, for the first machine on a new volume',
    generateSecretString: { passwordLength: 32, excludePunctuation: true },
  })

  #volume(vpc: ec2.Vpc, options: BrokerOptions): ec2.Volume {
    const volume = new ec2.Volume(this, 'Data', {
      availabilityZone: vpc.availabilityZones[0] ?? '',
      size: Size.gibibytes(options.volumeGibibytes),
      encrypted: true,
      volumeType: ec2.EbsDeviceVolumeType.GP3,
      removalPolicy: RemovalPolicy.SNAPSHOT,
    })
    const tag = { key: 'recado:snapshots', value: `${this.stackName}-daily` }
    Tags.of(volume).add(tag.key, tag.value)
    const role = new iam.Role(this, 'SnapshotRole', {
      assumedBy: new iam.ServicePrincipal('dlm.amazonaws.com'),
      managedPolicies: [iam.ManagedPolicy.fromAwsManagedPolicyName('service-role/AWSDataLifecycleManagerServiceRole')],
    })
    // A snapshot is what a power cut would leave, and the broker starts from that.
    new dlm.CfnLifecyclePolicy(this, 'Snapshots', {
      description: 'Daily snapshots of the data of Recado',
      state: 'ENABLED',
      executionRoleArn: role.roleArn,
      policyDetails: {
        resourceTypes: ['VOLUME'],
        targetTags: [tag],
        schedules: [
          {
            name: 'daily',
            createRule: { interval: 24, intervalUnit: 'HOURS', times: ['03:00'] },
            retainRule: { count: options.snapshotsKept },
            copyTags: true,
          },
        ],
      },
    })
    return volume
  }

  #machines(vpc: ec2.Vpc, securityGroup: ec2.SecurityGroup, volume: ec2.Volume, options: BrokerOptions) {
    const deb = new assets.Asset(this, 'Package', { path: options.debFile })
    const role = new iam.Role(this, 'Role', { assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com') })
    // Sessions instead of SSH, without the right to read every parameter that the managed policy has.
    role.addToPolicy(
      new iam.PolicyStatement({
        actions: [
          'ssm:UpdateInstanceInformation',
          'ssmmessages:CreateControlChannel',
          'ssmmessages:CreateDataChannel',
          'ssmmessages:OpenControlChannel',
          'ssmmessages:OpenDataChannel',
        ],
        // These actions know no resources.
        resources: ['*'],
      }),
    )
    role.addToPolicy(
      new iam.PolicyStatement({
        actions: ['s3:GetObject'],
        resources: [deb.bucket.arnForObjects(deb.s3ObjectKey)],
      }),
    )
    this.#password.grantRead(role)
    this.#log.grantWrite(role)
    this.#numbers.grantWrite(role)

    const script = ec2.UserData.custom('#!/bin/sh')
    const template = new ec2.LaunchTemplate(this, 'Machine', {
      instanceType: new ec2.InstanceType(options.instanceType),
      // Resolved by CloudFormation when the stack is made or changed.
      machineImage: ec2.MachineImage.fromSsmParameter('/aws/service/debian/release/12/latest/arm64', {
        os: ec2.OperatingSystemType.LINUX,
      }),
      userData: script,
      role,
      securityGroup,
      requireImdsv2: true,
      httpPutResponseHopLimit: 1,
      blockDevices: [
        {
          deviceName: '/dev/xvda',
          volume: ec2.BlockDeviceVolume.ebs(8, { encrypted: true, volumeType: ec2.EbsDeviceVolumeType.GP3 }),
        },
      ],
    })
    const group = new autoscaling.AutoScalingGroup(this, 'Broker', {
      vpc,
      launchTemplate: template,
      minCapacity: 1,
      maxCapacity: 1,
      // The old machine must go before the new one can have the volume.
      updatePolicy: autoscaling.UpdatePolicy.rollingUpdate({ maxBatchSize: 1, minInstancesInService: 0 }),
      signals: autoscaling.Signals.waitForAll({ timeout: Duration.minutes(20) }),
      healthChecks: autoscaling.HealthChecks.withAdditionalChecks({
        gracePeriod: Duration.minutes(15),
        additionalTypes: [autoscaling.AdditionalHealthCheckType.ELB],
      }),
      groupMetrics: [autoscaling.GroupMetrics.all()],
    })
    volume.grantAttachVolumeByResourceTag(role, [group])
    const resource = this.getLogicalId(group.node.defaultChild as autoscaling.CfnAutoScalingGroup)
    role.addToPolicy(new iam.PolicyStatement({ actions: ['cloudformation:SignalResource'], resources: [this.stackId] }))
    const settings = {
      REGION: this.region,
      STACK: this.stackName,
      RESOURCE: resource,
      VOLUME: volume.volumeId,
      DEB_URL: deb.s3ObjectUrl,
      DEB_SHA256: createHash('sha256').update(readFileSync(options.debFile)).digest('hex'),
      SECRET: this.#password.secretArn,
      LOG_GROUP: this.#log.logGroupName,
      NUMBERS_GROUP: this.#numbers.logGroupName,
    }
    script.addCommands(...Object.entries(settings).map(([name, value]) => `${name}='${value}'`))
    script.addCommands(readFileSync(userData, 'utf8'))
    // The machine's first start uses all of these rights.
    group.node.addDependency(role)
    return group
  }

  #certificate(options: BrokerOptions): acm.ICertificate {
    if (options.certificateArn !== undefined) {
      return acm.Certificate.fromCertificateArn(this, 'Certificate', options.certificateArn)
    }
    return new acm.Certificate(this, 'Certificate', {
      domainName: options.domainName ?? '',
      validation: acm.CertificateValidation.fromDns(this.#zone(options)),
    })
  }

  #foundZone: route53.IHostedZone | undefined
  #zone({ zone }: BrokerOptions): route53.IHostedZone | undefined {
    if (zone === undefined) return undefined
    this.#foundZone ??= route53.HostedZone.fromHostedZoneAttributes(this, 'Zone', {
      hostedZoneId: zone.id,
      zoneName: zone.name,
    })
    return this.#foundZone
  }

  #names(balancer: balancing.NetworkLoadBalancer, options: BrokerOptions): void {
    const zone = this.#zone(options)
    if (zone === undefined || options.domainName === undefined) return
    const target = route53.RecordTarget.fromAlias(new route53Targets.LoadBalancerTarget(balancer))
    const record = { zone, recordName: `${options.domainName}.`, target }
    new route53.ARecord(this, 'Ipv4', record)
    new route53.AaaaRecord(this, 'Ipv6', record)
  }
}
