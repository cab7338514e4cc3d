import WebhookReceiver

WebhookReceiverProgram.main()
