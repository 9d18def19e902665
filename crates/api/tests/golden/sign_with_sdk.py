"""Signs calls with the official SDK under a frozen clock and prints them as JSON: see README.md."""
import json, time
from unittest import mock
from tencentcloud.common import credential
from tencentcloud.common.abstract_client import AbstractClient
from tencentcloud.common.http.request import RequestInternal
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile

ID, KEY, NOW = "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE", "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE", 1764000000
CREATE = {
    "SdkAppId": 1400188366, "RoomId": "房间 1", "RoomIdType": 0, "UserId": "10001", "UserSig": "eJ*-_",
    "RecordParams": {"RecordMode": 2, "MaxIdleTime": 60,
                     "SubscribeStreamUserIds": {"SubscribeAudioUserIds": ["1.*$", "a&b=c%"]}},
    "MixTranscodeParams": {"VideoParams": {"Width": 1280, "Height": 720, "Fps": 15, "BitRate": 500000, "Gop": 10}},
    "MixLayoutParams": {"MixLayoutMode": 4, "PureAudioDisableLayout": True, "MixLayoutList": [
        {"Top": 0, "Left": 0, "Width": 640, "Height": 720, "UserId": "alice"},
        {"Top": 0, "Left": 640, "Width": 640, "Height": 720}]},
    "StorageParams": {"CloudStorage": {"Vendor": 0, "Region": "ap-shanghai", "Bucket": "b-1", "AccessKey": "AK",
                                       "SecretKey": "S K+/=", "FileNamePrefix": ["p1", "p2"]}},
}
TASK = {"SdkAppId": 1400188366, "TaskId": "-m4+x.."}


class Client(AbstractClient):
    _apiVersion, _endpoint, _service = "2019-07-22", "trtc.tencentcloudapi.com", "trtc"


def call(action, params, method, sign, host, unsigned=False):
    profile = ClientProfile(signMethod=sign,
                            httpProfile=HttpProfile(protocol="http", endpoint=host, reqMethod=method))
    profile.unsignedPayload = unsigned
    client = Client(credential.Credential(ID, KEY), "ap-singapore", profile)
    request = RequestInternal(host, method, "/", {})
    with mock.patch("time.time", return_value=NOW), mock.patch("random.randint", return_value=11886):
        client._build_req_inter(action, params, request)
    data = request.data
    headers = {k: v for k, v in request.header.items() if k.lower() not in ("x-tc-requestclient",)}
    headers.setdefault("Host", host)
    return {"action": action, "method": method, "host": host, "headers": headers,
            "data": data.decode() if isinstance(data, bytes) else data}


calls = []
for sign in ("TC3-HMAC-SHA256", "HmacSHA256", "HmacSHA1"):
    for method in ("POST", "GET"):
        for action, params in (("CreateCloudRecording", CREATE), ("DescribeCloudRecording", TASK),
                               ("ModifyCloudRecording", {**TASK, "MixLayoutParams": CREATE["MixLayoutParams"]}),
                               ("DeleteCloudRecording", TASK)):
            calls.append({"sign": sign, **call(action, params, method, sign, "127.0.0.1:8080")})
calls.append({"sign": "TC3-HMAC-SHA256", **call("DeleteCloudRecording", TASK, "POST", "TC3-HMAC-SHA256", "Recorder.EXAMPLE:80")})
calls.append({"sign": "TC3-HMAC-SHA256", **call("DeleteCloudRecording", TASK, "POST", "TC3-HMAC-SHA256", "127.0.0.1:8080", True)})
print(json.dumps(calls, indent=1, ensure_ascii=False))
