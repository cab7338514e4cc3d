import PlaidAPI
import ReportConsumer

ReportConsumerProgram.main(.baseReport)
