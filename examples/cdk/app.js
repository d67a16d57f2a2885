// An application that deploys Intertie as a part of its own stack: the packaged template with its archives, and a rule on the
// bus that leads payments to a queue of the application.
//
// RELEASE names the folder of an unpacked release, or what release/package wrote.

import { join } from 'node:path';
import { App, Duration, Stack, Validations } from 'aws-cdk-lib';
import { EventBus, Rule } from 'aws-cdk-lib/aws-events';
import { SqsQueue } from 'aws-cdk-lib/aws-events-targets';
import { Asset } from 'aws-cdk-lib/aws-s3-assets';
import { CfnFunction } from 'aws-cdk-lib/aws-sam';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { CfnInclude } from 'aws-cdk-lib/cloudformation-include';

class Shop extends Stack {
  constructor(scope, id, { release, ...props }) {
    super(scope, id, props);

    const intertie = new CfnInclude(this, 'Intertie', {
      templateFile: join(release, 'template.yaml'),
      // A parameter that is set here is no parameter of the stack any more.
      parameters: { Prefix: 'shop-integrations' },
    });
    Validations.of(intertie).acknowledge({ id: 'CloudFormation-Validate::W1030', reason: 'Empty parameters are used under a condition only.' });
    // CloudFormation knows archives in S3 only; the CDK uploads assets there.
    for (const lambda of intertie.node.findAll().filter((node) => node instanceof CfnFunction)) {
      const archive = new Asset(lambda, 'Archive', { path: join(release, lambda.codeUri) });
      lambda.codeUri = { bucket: archive.s3BucketName, key: archive.s3ObjectKey };
    }

    const payments = new Queue(this, 'Payments', {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    });
    new Rule(this, 'PaymentSucceeded', {
      eventBus: EventBus.fromEventBusName(this, 'Bus', intertie.getResource('Bus').ref),
      eventPattern: { source: ['intertie.stripe'], detailType: ['payment_intent.succeeded'] },
      targets: [new SqsQueue(payments)],
    });
  }
}

const release = process.env.RELEASE;
if (!release) throw new Error('RELEASE must name the folder with template.yaml and the archives of the functions');
new Shop(new App(), 'Shop', { release });
