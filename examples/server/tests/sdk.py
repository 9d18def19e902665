"""The official Python SDK against the server: sdk.py HOST:PORT SECRET_ID SECRET_KEY SDK_APP_ID APP_SECRET_ID APP_SECRET_KEY

The first key is for the application; the second one is for another application whose UserSig is checked. Prints a line for each thing that
was seen, and ends with status 1 at the first that is not as documented.
"""

import json
import sys
import time

from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.trtc.v20190722 import models, trtc_client

HOST, SECRET_ID, SECRET_KEY, APP, CHECKED_ID, CHECKED_KEY = sys.argv[1:]
APP = int(APP)
# The server takes 20 calls of an action in a second.
PAUSE = 0.06


def client(secret_id=SECRET_ID, secret_key=SECRET_KEY, token=None, method="TC3-HMAC-SHA256", request="POST"):
    http = HttpProfile(protocol="http", endpoint=HOST, reqMethod=request, reqTimeout=60)
    profile = ClientProfile(signMethod=method, httpProfile=http)
    return trtc_client.TrtcClient(credential.Credential(secret_id, secret_key, token), "ap-singapore", profile)


def creation(**changes):
    """A request for a mixed task; changes are paths joined by __, and None takes a member out."""
    fields = {
        "SdkAppId": APP, "RoomId": "1001", "UserId": "robot", "UserSig": "sig",
        "RecordParams": {"RecordMode": 2, "MaxIdleTime": 300, "StreamType": 0},
        "MixTranscodeParams": {"VideoParams": {"Width": 160, "Height": 90, "Fps": 5, "BitRate": 64000, "Gop": 2}},
        "MixLayoutParams": {"MixLayoutMode": 3},
        "StorageParams": {"CloudStorage": {
            "Vendor": 0, "Region": "ap-shanghai", "Bucket": "b-1250000000", "AccessKey": "a", "SecretKey": "s",
            "FileNamePrefix": ["p1", "p2"]}},
    }
    for path, value in changes.items():
        *parents, name = path.split("__")
        at = fields
        for parent in parents:
            at = at[parent]
        if value is None:
            del at[name]
        else:
            at[name] = value
    return fields


def call(action, fields, by=None):
    request = getattr(models, action + "Request")()
    request.from_json_string(json.dumps(fields))
    time.sleep(PAUSE)
    return getattr(by or client(), action)(request)


def refused(code, action, fields, by=None):
    try:
        answer = call(action, fields, by)
    except TencentCloudSDKException as error:
        assert error.get_code() == code, f"{action}: {error.get_code()}: {error.get_message()}, not {code}"
        assert error.get_request_id(), "an error has a RequestId too"
        print(f"{action}: {code}")
        return
    raise AssertionError(f"{action}: {answer}, not {code}")


def life(by, how):
    """A task from its creation to its end."""
    task = call("CreateCloudRecording", creation(), by).TaskId
    of_task = {"SdkAppId": APP, "TaskId": task}
    described = call("DescribeCloudRecording", of_task, by)
    assert (described.TaskId, described.Status) == (task, "Idle"), described
    assert not described.StorageFileList, described
    changed = {"MixLayoutParams": {"MixLayoutMode": 1}, "SubscribeStreamUserIds": {"SubscribeAudioUserIds": ["1.*$"]}}
    assert call("ModifyCloudRecording", of_task | changed, by).TaskId == task
    deleted = call("DeleteCloudRecording", of_task, by)
    assert deleted.TaskId == task and deleted.RequestId, deleted
    for _ in range(200):
        try:
            status = call("DescribeCloudRecording", of_task, by).Status
        except TencentCloudSDKException as error:
            assert error.get_code() == "ResourceNotFound", error
            break
        assert status == "Exited", status
    else:
        raise AssertionError("the task does not end")
    refused("ResourceNotFound", "ModifyCloudRecording", of_task, by)
    print(f"create, describe, modify, delete: {how}")


def errors():
    create = "CreateCloudRecording"
    for name in ["SdkAppId", "RoomId", "UserId", "UserSig", "RecordParams", "StorageParams"]:
        refused(f"MissingParameter.{name}", create, creation(**{name: None}))
    refused("MissingParameter.RecordMode", create, creation(RecordParams__RecordMode=None))
    for name in ["Vendor", "Region", "Bucket", "AccessKey", "SecretKey"]:
        refused(f"MissingParameter.{name}", create, creation(**{f"StorageParams__CloudStorage__{name}": None}))
    vod = {"CloudVod": {"TencentVod": {}}}
    refused("MissingParameter.CloudStorage", create, creation(StorageParams__CloudStorage=None))
    refused("UnsupportedOperation", create, creation(StorageParams=vod))
    refused("InvalidParameter.OutOfRange", create, creation(StorageParams__CloudVod=vod["CloudVod"]))
    refused("InvalidParameter.OutOfRange", create, creation(MixTranscodeParams__VideoParams__Fps=61))
    refused("InvalidParameter.OutOfRange", create, creation(ResourceExpiredHour=5))
    refused("InvalidParameter.OutOfRange", create, creation(RecordParams__MaxIdleTime=4))
    refused("InvalidParameter.SdkAppId", create, creation(SdkAppId=0))
    refused("InvalidParameter", create, creation(SdkAppId="1400000001"))
    refused("InvalidParameterValue", create, creation(RoomId="not a number"))
    refused("AuthFailure.UnauthorizedOperation", create, creation(SdkAppId=APP + 7))
    checked = client(CHECKED_ID, CHECKED_KEY)
    refused("InvalidParameter.UserSig", create, creation(SdkAppId=APP + 1), checked)

    for action in ["DescribeCloudRecording", "ModifyCloudRecording", "DeleteCloudRecording"]:
        refused("ResourceNotFound", action, {"SdkAppId": APP, "TaskId": "none"})
        refused("MissingParameter.TaskId", action, {"SdkAppId": APP})
        refused("MissingParameter.SdkAppId", action, {"TaskId": "none"})
        refused("AuthFailure.UnauthorizedOperation", action, {"SdkAppId": APP + 7, "TaskId": "none"})

    describe = ("DescribeCloudRecording", {"SdkAppId": APP, "TaskId": "none"})
    refused("AuthFailure.SecretIdNotFound", *describe, by=client("AKIDnobody"))
    refused("AuthFailure.SignatureFailure", *describe, by=client(secret_key="other"))
    refused("AuthFailure.TokenFailure", *describe, by=client(token="token"))
    # An action that the SDK knows and recording has not.
    refused("InvalidAction", "DescribeRoomInfo", {"SdkAppId": str(APP), "StartTime": 1, "EndTime": 2})

    now = time.time
    time.time = lambda: now() - 400
    refused("AuthFailure.SignatureExpire", *describe)
    time.time = now


def rate():
    by, request = client(), models.DescribeCloudRecordingRequest()
    request.from_json_string(json.dumps({"SdkAppId": APP, "TaskId": "none"}))
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            by.DescribeCloudRecording(request)
        except TencentCloudSDKException as error:
            if error.get_code() == "RequestLimitExceeded":
                print("RequestLimitExceeded")
                return
            assert error.get_code() == "ResourceNotFound", error
    raise AssertionError("no call was too many")


def concurrency():
    """The server was started with two tasks at a time."""
    tasks = [call("CreateCloudRecording", creation(UserId=f"robot{n}")).TaskId for n in range(2)]
    refused("FailedOperation.RestrictedConcurrency", "CreateCloudRecording", creation(UserId="robot2"))
    for task in tasks:
        call("DeleteCloudRecording", {"SdkAppId": APP, "TaskId": task})


life(client(), "POST, TC3-HMAC-SHA256")
life(client(request="GET"), "GET, TC3-HMAC-SHA256")
for name in ["HmacSHA1", "HmacSHA256"]:
    life(client(method=name), f"POST, {name}")
    life(client(method=name, request="GET"), f"GET, {name}")
errors()
concurrency()
rate()
print("all as documented")
