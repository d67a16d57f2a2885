// An application that deploys Intertie as a part of its own stack: the packaged template with its archives, and a rule on the
// bus that leads payments to a queue of the application.
//
// RELEASE names the folder of an unpacked release, or what release/package wrote.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { App, CfnInclude, Duration, Fn, Stack, Validations } from 'aws-cdk-lib';
import { EventBus, Rule } from 'aws-cdk-lib/aws-events';
import { SqsQueue } from 'aws-cdk-lib/aws-events-targets';
import { Asset } from 'aws-cdk-lib/aws-s3-assets';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { yamlParse } from 'yaml-cfn';

class Shop extends Stack {
  constructor(scope, id, { release, ...props }) {
    super(scope, id, props);

    const template = yamlParse(readFileSync(join(release, 'template.yaml'), 'utf8'));
    template.Parameters.Prefix.Default = 'shop-integrations';
    for (const [name, { Type, Properties }] of Object.entries(template.Resources)) {
      if (Type === 'AWS::Serverless::Function') {
        // CloudFormation knows archives in S3 only; the CDK uploads assets there.
        const archive = new Asset(this, `${name}Archive`, { path: join(release, Properties.CodeUri) });
        Properties.CodeUri = { Bucket: archive.s3BucketName, Key: archive.s3ObjectKey };
      }
    }
    // The core's CfnInclude, though it is deprecated, passes the template on as it is. The one of cloudformation-include reads each
    // resource by a type, and refuses what SAM allows: a destination of failures alone, the name of a stage that SAM makes.
    new CfnInclude(this, 'Intertie', { template });

    const payments = new Queue(this, 'Payments', {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    });
    new Rule(this, 'PaymentSucceeded', {
      eventBus: EventBus.fromEventBusName(this, 'Bus', Fn.ref('Bus')),
      eventPattern: { source: ['intertie.stripe'], detailType: ['payment_intent.succeeded'] },
      targets: [new SqsQueue(payments)],
    });
  }
}

const release = process.env.RELEASE;
if (!release) throw new Error('RELEASE must name the folder with template.yaml and the archives of the functions');
const app = new App();
Validations.of(app).acknowledge({
  id: 'CloudFormation-Validate::E0001',
  reason: 'The validator of the CDK misreads a schedule of SAM that has a dead-letter queue; cfn-lint does not.',
});
new Shop(app, 'Shop', { release });
