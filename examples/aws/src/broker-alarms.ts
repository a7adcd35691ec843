/*
 * Metrics, alarms and a dashboard of the broker's stack.
 *
 * BrokerStack calls it. The metrics come from lines of JSON that the machine writes every minute (user-data/broker.sh):
 * so the machine needs no right but the one to write its log. Invariant: every field that is read here is written there.
 */
import { Duration } from 'aws-cdk-lib'
import type * as autoscaling from 'aws-cdk-lib/aws-autoscaling'
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch'
import * as actions from 'aws-cdk-lib/aws-cloudwatch-actions'
import type * as balancing from 'aws-cdk-lib/aws-elasticloadbalancingv2'
import * as logs from 'aws-cdk-lib/aws-logs'
import * as sns from 'aws-cdk-lib/aws-sns'
import * as subscriptions from 'aws-cdk-lib/aws-sns-subscriptions'
import type { Construct } from 'constructs'

interface Watched {
  readonly group: autoscaling.AutoScalingGroup
  readonly targets: balancing.NetworkTargetGroup
  /** Log with the lines of JSON. */
  readonly numbers: logs.ILogGroup
  readonly email: string | undefined
}

/** Fields of a line, with the unit of CloudWatch. */
const fields = {
  clients: cloudwatch.Unit.COUNT,
  received: cloudwatch.Unit.COUNT,
  sent: cloudwatch.Unit.COUNT,
  dropped: cloudwatch.Unit.COUNT,
  stored: cloudwatch.Unit.COUNT,
  storeLag: cloudwatch.Unit.NONE,
  storeFree: cloudwatch.Unit.BYTES,
  memory: cloudwatch.Unit.BYTES,
  memoryLevel: cloudwatch.Unit.NONE,
  eventLoopP99: cloudwatch.Unit.MILLISECONDS,
}
type Field = keyof typeof fields

/** Bytes of the volume below which the alarm is raised. */
const FREE_MIN = 2 * 1024 ** 3

export function watchBroker(scope: Construct, { group, targets, numbers, email }: Watched): void {
  const namespace = `Recado/${scope.node.id}`
  const metrics = {} as Record<Field, cloudwatch.Metric>
  for (const [field, unit] of Object.entries(fields) as [Field, cloudwatch.Unit][]) {
    const filter = new logs.MetricFilter(scope, `Number-${field}`, {
      logGroup: numbers,
      filterPattern: logs.FilterPattern.exists(`$.${field}`),
      metricNamespace: namespace,
      metricName: field,
      metricValue: `$.${field}`,
      unit,
    })
    metrics[field] = filter.metric({ statistic: 'Maximum', period: Duration.minutes(1) })
  }
  const topic = new sns.Topic(scope, 'Alarms', { enforceSSL: true })
  if (email !== undefined) topic.addSubscription(new subscriptions.EmailSubscription(email))
  const { GREATER_THAN_OR_EQUAL_TO_THRESHOLD: atLeast, LESS_THAN_THRESHOLD: below } = cloudwatch.ComparisonOperator
  const alarm = (name: string, text: string, metric: cloudwatch.IMetric, rest: Partial<cloudwatch.AlarmProps>) =>
    new cloudwatch.Alarm(scope, name, {
      metric,
      threshold: 1,
      evaluationPeriods: 3,
      comparisonOperator: atLeast,
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
      alarmDescription: text,
      ...rest,
    }).addAlarmAction(new actions.SnsAction(topic))

  alarm('Unreachable', 'The load balancer does not reach the broker.', targets.metrics.unHealthyHostCount(minutes(1)), {
    treatMissingData: cloudwatch.TreatMissingData.BREACHING,
  })
  alarm(
    'Silent',
    'The broker has sent no numbers for five minutes.',
    metrics.clients.with({ statistic: 'SampleCount' }),
    {
      comparisonOperator: below,
      evaluationPeriods: 5,
      treatMissingData: cloudwatch.TreatMissingData.BREACHING,
    },
  )
  alarm('Disk', 'Less than 2 GiB of the volume are free: make it larger.', metrics.storeFree, {
    comparisonOperator: below,
    threshold: FREE_MIN,
  })
  alarm('Memory', 'The broker sheds load because its memory is short: take a larger machine.', metrics.memoryLevel, {})
  alarm(
    'Dropped',
    'Messages did not reach a subscriber: $SYS/broker/recado/dropped/# has the reasons.',
    new cloudwatch.MathExpression({
      expression: 'DIFF(dropped)',
      usingMetrics: { dropped: metrics.dropped },
      period: Duration.minutes(1),
    }),
    { evaluationPeriods: 5, datapointsToAlarm: 3 },
  )
  const cpu = new cloudwatch.Metric({
    namespace: 'AWS/EC2',
    metricName: 'CPUUtilization',
    dimensionsMap: { AutoScalingGroupName: group.autoScalingGroupName },
    ...minutes(5),
  })
  alarm('Cpu', 'The machine is at 80 % for a quarter of an hour.', cpu, { threshold: 80 })

  const graph = (title: string, ...left: cloudwatch.IMetric[]) => new cloudwatch.GraphWidget({ title, left, width: 8 })
  const rate = (field: Field) =>
    new cloudwatch.MathExpression({
      expression: `RATE(${field})`,
      usingMetrics: { [field]: metrics[field] },
      label: `${field} a second`,
      period: Duration.minutes(1),
    })
  new cloudwatch.Dashboard(scope, 'Dashboard').addWidgets(
    graph('Clients', metrics.clients),
    graph('Messages', rate('received'), rate('sent'), rate('dropped')),
    graph('CPU', cpu),
    graph('Memory', metrics.memory),
    graph('Messages that are kept', metrics.stored),
    graph('Delay of the event loop, p99', metrics.eventLoopP99),
  )
}

const minutes = (count: number) => ({ period: Duration.minutes(count), statistic: 'Maximum' })
