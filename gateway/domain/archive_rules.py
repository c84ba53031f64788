"""The rules of the repair list (问题清单): a stable code, a severity, and what to tell people.

`CATALOGUE` is the only place where a rule's severity and words stand. A finding is made with
`Findings.add(code, ...)`; its English reason is the catalogue's sentence plus what was seen, the
Chinese one is `chinese(code)`.
"""

from dataclasses import dataclass, field

from gateway.domain.archive import Repair, Severity

Q, D, N = Severity.QUARANTINE, Severity.DEFECT, Severity.NOTE

VALUE_SHOWN = 80
"""Characters of a bad value that the repair list keeps."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        keeps: the value stays in the archive although the rule speaks (it is true, but not good).
    """

    severity: Severity
    english: str
    chinese: str
    keeps: bool = False


CATALOGUE: dict[str, Rule] = {
    # --- the row cannot be taken
    "missing_id": Rule(Q, "there is no id", "缺少编码"),
    "missing_address": Rule(Q, "there is no network address", "缺少IP地址"),
    "bad_address": Rule(Q, "this is not an IP address", "IP地址无效"),
    "bad_port": Rule(Q, "a port is a number from 1 to 65535", "端口无效（应为1-65535）"),
    "refused_address": Rule(
        Q, "this address is never polled", "该地址禁止接入（环回、链路本地、组播、保留或本机地址）"
    ),
    "duplicate_endpoint": Rule(
        Q, "another row has the same address and video source token", "地址和视频源重复"
    ),
    "destroyed_code": Rule(
        Q,
        "a spreadsheet has rounded the 20-digit code; export the column as text",
        "编码被表格软件改成科学计数法或舍入，请按文本格式重新导出",
    ),
    "duplicate_id": Rule(Q, "another row has the same id", "编号重复"),
    "bad_division_code": Rule(
        Q, "a division code has 6, 9 or 12 digits", "行政区划代码应为6、9或12位数字"
    ),
    "bad_window": Rule(Q, "the times of the window make no sense", "检修时间无效"),
    "unknown_target": Rule(Q, "no camera, node or grid cell has this id", "检修对象不存在"),
    "unusable_geometry": Rule(Q, "this geometry cannot be used", "图形不可用"),
    "missing_position": Rule(Q, "there is no position", "缺少坐标"),
    "missing_topic": Rule(Q, "a sensor needs a topic of its own", "传感器缺少主题或主题重复"),
    "bad_sensor_kind": Rule(Q, "this kind of sensor is not known", "传感器类型无法识别"),
    # --- the row is taken, the field is set aside
    "bad_code": Rule(D, "this is not a camera's 20-digit code", "国标编码无效", keeps=True),
    "duplicate_code": Rule(
        D,
        "another camera has the same code; this one is kept under code@address",
        "设备编码重复，本行以“编码@地址”保留",
    ),
    "missing_required": Rule(D, "a required field is empty", "必填项为空"),
    "missing_column": Rule(D, "a required column is missing", "缺少必填列"),
    "outside_district": Rule(D, "this position is outside the district", "坐标在辖区之外"),
    "swapped_lon_lat": Rule(D, "longitude and latitude are swapped", "经纬度颠倒"),
    "bad_coordinate": Rule(D, "this is not a coordinate in degrees", "坐标无效"),
    "zero_position": Rule(
        D, "the position 0, 0 is no position: nothing was filled in", "坐标为0,0，等于没有填写"
    ),
    "destroyed_coordinate": Rule(
        D,
        "a spreadsheet has turned the coordinate into a date or a rounded number",
        "坐标被表格软件改成日期或舍入",
    ),
    "suspected_datum": Rule(
        D,
        "the positions of this batch fit their declared village or grid in another datum",
        "整批坐标疑似非WGS-84坐标系",
    ),
    "bad_datum": Rule(D, "this datum is not known", "坐标系无法识别"),
    "direction_out_of_range": Rule(
        D, "a direction is 1-8, an azimuth 0-360 degrees", "监视方位应为1-8，方位角应为0-360度"
    ),
    "angle_out_of_range": Rule(
        D, "an angle of view lies in (0, 360] degrees", "视场角应在0（不含）到360度之间"
    ),
    "distance_out_of_range": Rule(
        D, "a distance of view lies in (0, 20000] metres", "可视距离应在0（不含）到20000米之间"
    ),
    "bad_choice": Rule(D, "this value is not in the code table", "取值不在代码表内"),
    "bad_number": Rule(D, "this is not a number", "应为数字"),
    "retention_under_30_days": Rule(
        D, "recordings must be kept for 30 days at least", "录像保存少于30天", keeps=True
    ),
    "bad_place_kind": Rule(
        D, "this kind of place is not known; other was taken", "部位类型无法识别，按“其他”处理"
    ),
    "bad_weight": Rule(D, "a weight is a number above 0", "权重应为大于0的数字"),
    "bad_level": Rule(
        D, "this is no level of the pixel-density ladder", "等级不在像素密度分级之内"
    ),
    "bad_mac": Rule(D, "this is not a MAC address", "MAC地址无效"),
    "destroyed_number": Rule(
        D, "a spreadsheet has rounded the number; export it as text", "数字被表格软件舍入"
    ),
    "bad_path": Rule(D, "a service path starts with / and has no login", "服务路径无效"),
    "unknown_division": Rule(D, "no such township or village is known", "乡镇或村社区不存在"),
    "ambiguous_division": Rule(D, "several divisions have this name", "乡镇或村社区名称不唯一"),
    "division_mismatch": Rule(
        D, "the village is not in this township; the village was taken", "村社区不属于所填乡镇"
    ),
    "unknown_grid": Rule(D, "no such grid cell is known", "网格不存在"),
    "unknown_node": Rule(D, "no such network node is known", "网络节点不存在"),
    "unknown_parent": Rule(D, "the node above is not known", "上级节点不存在"),
    "node_loop": Rule(D, "the nodes above lead back to this node", "上级节点成环"),
    "bad_node_kind": Rule(
        D, "this kind of node is not known; access was taken", "节点类型无法识别，按接入处理"
    ),
    "device_conflict": Rule(
        D, "rows of one device disagree; the first row counts", "同一设备各行不一致，以首行为准"
    ),
    "identity_conflict": Rule(
        D,
        "rows of one device name different serial numbers or MACs; the device has none",
        "同一设备的序列号或MAC不一致，设备身份不予核对",
    ),
    "personal_contact": Rule(
        D,
        "a post is named by a reference of its own, not by a mobile number or an identity number",
        "岗位应填写岗位联系编码，不得填写个人手机号或身份证号",
    ),
    "bad_geometry": Rule(D, "this is not a valid polygon in WGS-84 degrees", "图形无效"),
    "shifted_row": Rule(
        D, "the row has more cells than the header: a comma without quotes?", "本行列数多于表头"
    ),
    "secret_column": Rule(
        D,
        "a column of logins was dropped unread: credentials come from their own file",
        "含口令的列已丢弃，口令请用单独文件导入",
    ),
    "secret_in_text": Rule(
        D, "a login inside a text was removed", "文本中的用户名口令已删除", keeps=True
    ),
    # --- somebody should look
    "foreign_code": Rule(N, "the code belongs to another district", "编码不属于本区", keeps=True),
    "coarse_coordinate": Rule(
        N,
        "the position has so few decimals that it may be 100 m off",
        "坐标小数位过少，位置可能偏差100米",
        keeps=True,
    ),
    "public_address": Rule(
        N,
        "this is a public address of the internet: a camera of the video network has a private one",
        "这是互联网公网地址，视频专网的摄像机应为内网地址，请核对",
        keeps=True,
    ),
    "unlikely_port": Rule(
        N,
        "check_by=rtsp asks port 80, which is for web pages: RTSP is at 554 as a rule",
        "检测方式为rtsp而端口为80（网页端口），RTSP一般为554，请核对",
        keeps=True,
    ),
    "unknown_credential_set": Rule(
        N, "no credential set has this name yet", "凭据组尚未导入", keeps=True
    ),
    "formula_text": Rule(
        N, "the text starts like a formula; exports defuse it", "文本疑似公式，导出时转义",
        keeps=True,
    ),
    "control_characters": Rule(
        N, "control characters were replaced by blanks", "控制字符已替换为空格", keeps=True
    ),
    "unknown_column": Rule(
        N, "the column is kept under its own name", "未识别的列，按原名保留", keeps=True
    ),
    "ignored_column": Rule(
        N, "files of this kind have no such column; it is not kept", "此类文件无此列，已忽略"
    ),
    "repeated_column": Rule(
        N, "another column has this meaning; kept under its own name", "含义重复的列，按原名保留",
        keeps=True,
    ),
}  # fmt: skip


def chinese(code: str) -> str:
    """The Chinese sentence of a rule."""
    return CATALOGUE[code].chinese


@dataclass(slots=True)
class Findings:
    """Collects the repair lines of one file, in the order in which they are found."""

    file: str
    repairs: list[Repair] = field(default_factory=list)

    def add(
        self, code: str, row: int = 0, column: str = "", value: str = "", seen: str = ""
    ) -> None:
        """Note one finding; `seen` goes behind the rule's sentence, after a colon."""
        rule = CATALOGUE[code]
        reason = f"{rule.english}: {seen}" if seen else rule.english
        shown = value if len(value) <= VALUE_SHOWN else value[: VALUE_SHOWN - 1] + "…"
        self.repairs.append(Repair(self.file, row, column, shown, code, reason, rule.severity))
