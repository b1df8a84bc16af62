"""ELBv2 for LocalStack's free edition: every operation goes to moto, which runs in the same process over the same EC2 state."""

from localstack.aws.skeleton import Skeleton
from localstack.aws.spec import load_service
from localstack.services.moto import _proxy_moto
from localstack.services.plugins import Service, aws_provider


@aws_provider(api="elbv2", name="default")
def elbv2() -> Service:
    service = load_service("elbv2")
    return Service("elbv2", skeleton=Skeleton(service, {name: _proxy_moto for name in service.operation_names}))
