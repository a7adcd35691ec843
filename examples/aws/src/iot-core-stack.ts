/*
 * The cloud without a broker of one's own: a thing of AWS IoT Core that the bridge of a Raspberry Pi logs in as.
 *
 * app.ts makes it. Invariants: the private key never leaves the Raspberry Pi (a request for a certificate comes in); the
 * policy lets this certificate do what the printed bridge configuration does, and nothing else.
 */
import { CfnOutput, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib'
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch'
import * as actions from 'aws-cdk-lib/aws-cloudwatch-actions'
import * as iam from 'aws-cdk-lib/aws-iam'
import * as iot from 'aws-cdk-lib/aws-iot'
import * as logs from 'aws-cdk-lib/aws-logs'
import * as sns from 'aws-cdk-lib/aws-sns'
import * as subscriptions from 'aws-cdk-lib/aws-sns-subscriptions'
import type { Construct } from 'constructs'

export interface IotCoreOptions {
  /** Name of the thing: also the Client Identifier and the first level of its topics. */
  readonly thingName: string
  /** PEM. */
  readonly certificateSigningRequest: string
  /** Receiver of the alarm. */
  readonly email?: string
}

/** Section of recado.conf that fits the policy. */
export const bridgeConfiguration = (thing: string): string => `connection aws
bridge_preset aws-iot
address ENDPOINT
bridge_certfile /etc/recado/aws/certificate.pem
bridge_keyfile /etc/recado/aws/private.key
remote_clientid ${thing}
bridge_protocol_version mqttv50
bridge_outgoing_retain true
topic sensors/# out 1 "" ${thing}/
topic commands/# in 1 "" ${thing}/
`

export class IotCoreStack extends Stack {
  constructor(scope: Construct, id: string, { thingName, certificateSigningRequest, email }: IotCoreOptions) {
    super(scope, id, { description: 'AWS IoT Core for the bridge of a Recado broker' })
    const arn = (kind: string, name: string) => this.formatArn({ service: 'iot', resource: kind, resourceName: name })
    const thing = new iot.CfnThing(this, 'Thing', { thingName })
    const certificate = new iot.CfnCertificate(this, 'Certificate', { status: 'ACTIVE', certificateSigningRequest })
    const allow = (action: string | string[], resource: string) => ({
      Effect: 'Allow',
      Action: action,
      Resource: resource,
    })
    const policy = new iot.CfnPolicy(this, 'Policy', {
      policyDocument: {
        Version: '2012-10-17',
        Statement: [
          allow('iot:Connect', arn('client', thingName)),
          allow(['iot:Publish', 'iot:RetainPublish'], arn('topic', `${thingName}/sensors/*`)),
          allow('iot:Subscribe', arn('topicfilter', `${thingName}/commands/*`)),
          allow('iot:Receive', arn('topic', `${thingName}/commands/*`)),
        ],
      },
    })
    const attached = new iot.CfnPolicyPrincipalAttachment(this, 'PolicyOfCertificate', {
      policyName: policy.ref,
      principal: certificate.attrArn,
    })
    const principal = new iot.CfnThingPrincipalAttachment(this, 'CertificateOfThing', {
      thingName,
      principal: certificate.attrArn,
    })
    principal.addResourceDependency(thing)
    attached.addResourceDependency(policy)
    this.#keepMessages(thingName)
    this.#watch(email)

    new CfnOutput(this, 'FetchCertificate', {
      value: `aws iot describe-certificate --certificate-id ${certificate.ref} --query certificateDescription.certificatePem --output text`,
    })
    new CfnOutput(this, 'FetchEndpoint', {
      value: 'aws iot describe-endpoint --endpoint-type iot:Data-ATS --query endpointAddress --output text',
    })
    new CfnOutput(this, 'Bridge', { value: bridgeConfiguration(thingName) })
  }

  /** A rule that writes every reading into a log, as the place where rules of yours begin. */
  #keepMessages(thingName: string): void {
    const log = new logs.LogGroup(this, 'Readings', {
      retention: logs.RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    })
    const role = new iam.Role(this, 'RuleRole', { assumedBy: new iam.ServicePrincipal('iot.amazonaws.com') })
    log.grant(role, 'logs:CreateLogStream', 'logs:DescribeLogStreams', 'logs:PutLogEvents')
    const action = { cloudwatchLogs: { logGroupName: log.logGroupName, roleArn: role.roleArn } }
    new iot.CfnTopicRule(this, 'Rule', {
      topicRulePayload: {
        // The payload need not be JSON.
        sql: `SELECT encode(*, 'base64') AS payload_base64, topic() AS topic, timestamp() AS time FROM '${thingName}/sensors/#'`,
        awsIotSqlVersion: '2016-03-23',
        actions: [action],
        errorAction: action,
      },
    })
  }

  #watch(email: string | undefined): void {
    const topic = new sns.Topic(this, 'Alarms', { enforceSSL: true })
    if (email !== undefined) topic.addSubscription(new subscriptions.EmailSubscription(email))
    new cloudwatch.Alarm(this, 'Silent', {
      alarmDescription: 'AWS IoT Core has had no message for a quarter of an hour: is the bridge connected?',
      metric: new cloudwatch.Metric({
        namespace: 'AWS/IoT',
        metricName: 'PublishIn.Success',
        dimensionsMap: { Protocol: 'MQTT' },
        statistic: 'Sum',
        period: Duration.minutes(5),
      }),
      threshold: 1,
      evaluationPeriods: 3,
      comparisonOperator: cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
      treatMissingData: cloudwatch.TreatMissingData.BREACHING,
    }).addAlarmAction(new actions.SnsAction(topic))
  }
}
