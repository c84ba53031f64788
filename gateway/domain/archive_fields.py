"""Which column is which: header names of archive files, in English and Chinese.

Keys are the English names of GB/T 28181-2022; the table holds what real
files of the field call them. A name is compared without case, blanks, signs and remarks in brackets.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a file of the archive lists."""

    CAMERAS = "cameras"
    NODES = "nodes"
    DIVISIONS = "divisions"
    GRIDS = "grids"
    WINDOWS = "windows"
    PLACES = "places"
    FOOTPRINTS = "footprints"
    PROHIBITED = "prohibited"
    CANDIDATES = "candidates"
    SENSORS = "sensors"


LISTS = frozenset({Kind.PLACES, Kind.FOOTPRINTS, Kind.PROHIBITED, Kind.CANDIDATES, Kind.SENSORS})
"""Lists beside the archive: what coverage and events are told (`gateway.list_plan`)."""


_RESPONSIBLE: dict[str, str] = {
    "maintainer": "运维单位 维护单位 运维厂商 维保单位 运维公司",
    "carrier": "运营商 通信运营商 线路运营商 链路运营商 接入运营商",
    "contact": "联系方式 联系电话 管理单位联系方式 电话 手机号 联系人电话 phone",
}

_POSITION: dict[str, str] = {
    "longitude": "经度 jd lon lng 东经",
    "latitude": "纬度 wd lat 北纬",
}

ALIASES: dict[Kind, dict[str, str]] = {
    Kind.CAMERAS: {
        "device_id": "设备编码 设备编号 国标编码 国标编号 国标id 设备国标编码 设备国标编号 设备id "
        "通道编码 通道编号 通道id 摄像机编码 摄像机编号 点位编码 点位编号 编码 sbbm gbid gbcode "
        "channelid cameraid id",
        "name": "设备名称 名称 摄像机名称 通道名称 点位名称 监控点名称 监控名称 sbmc devicename",
        "manufacturer": "厂商 设备厂商 生产厂商 制造商 品牌 设备品牌 sbcs vendor brand",
        "model": "型号 设备型号 规格型号 sbxh",
        "ip_address": "ip地址 ipv4地址 ip ipv4 设备ip 摄像机ip 设备ip地址 网络地址 管理ip host "
        "ipaddr ipdz",
        "port": "端口 端口号 onvif端口 http端口 服务端口 设备端口 dkh",
        "tls": "加密传输 启用tls https ssl",
        "path": "服务路径 onvif路径 服务地址",
        "check_by": "检测方式 检查方式 探测方式",
        "events": "事件方式 事件接入方式 报警接入方式",
        "source_token": "视频源令牌 视频源 通道令牌 视频源标识 通道号 videosourcetoken channel",
        "credential_set": "凭据组 口令组 凭据 账号组",
        "serial_number": "序列号 设备序列号 出厂编号 sn serial",
        "mac": "mac地址 物理地址 设备mac macaddress macdz",
        "node_id": "网络节点 接入节点 接入交换机 上级节点 所属节点 节点编码 节点编号 node",
        "township_code": "乡镇编码 街道编码 乡镇街道编码 镇街编码 乡镇代码 乡镇 街道 乡镇街道 镇街 "
        "所属乡镇 所属街道 所属镇街 township",
        "village_code": "村编码 社区编码 村社区编码 村居编码 村代码 村 社区 村社区 村居 行政村 "
        "所属村 所属社区 所属村社区 village",
        "grid_id": "网格编码 网格编号 网格代码 网格 所属网格 gridcode grid",
        "longitude": "经度 jd lon lng x坐标 gis经度 东经",
        "latitude": "纬度 wd lat y坐标 gis纬度 北纬",
        "datum": "坐标系 坐标系统 坐标类型 坐标基准 坐标标准 crs",
        **_RESPONSIBLE,
        "in_use": "在用 是否在用 使用状态 启用 是否启用 enabled active",
        "civil_code": "行政区域 行政区划 行政区划代码 行政区划编码 行政区域编码 xzqh",
        "block": "警区 所属警区",
        "grassroots_code": "基层组织编码 基层组织",
        "point_type": "监控点位类型 点位类型 监控点类型 点位类别 监控类型 jkdwlx",
        "address": "安装地址 安装地点 安装位置 详细地址 地址 azdz",
        "point_common_name": "点位俗称 俗称 点位别名",
        "ptz_type": "摄像机结构类型 结构类型 摄像机类型 云台类型 sxjlx",
        "imaging_type": "成像类型 摄像机成像类型",
        "supply_light": "补光属性 补光类型 补光",
        "position_type": "摄像机位置类型 位置类型 sxjwzlx",
        "capture_position_type": "采集部位类型 采集区域类型 采集部位",
        "room_type": "室外室内 室内外 室内室外 安装环境 室外内",
        "direction_type": "监视方位 光轴方向 监控方位 监控方向 方位 朝向 监视方向 jsfw",
        "azimuth": "方位角 水平方位角 安装方位角 heading",
        "horizontal_field_angle": "水平视场角 水平视角 hfov",
        "vertical_field_angle": "竖直视场角 垂直视场角 垂直视角 vfov",
        "max_view_distance": "可视距离 最大可视距离 监控距离",
        "function_type": "卡口功能类型 摄像机功能类型 功能类型",
        "install_time": "安装时间 安装日期 建设时间 azsj",
        "management_unit": "管理单位 所属单位 所属部门 管理部门 建设单位 gldw",
        "record_save_days": "录像保存天数 录像保存时间 存储天数 录像存储天数 保存天数 "
        "retentiondays lxbcts",
        "status": "设备状态 sbzt",
        "geometry": "",
    },
    Kind.NODES: {
        "id": "节点编码 节点编号 节点id 编码 编号 nodeid",
        "kind": "节点类型 类型 层级 type",
        "name": "节点名称 名称",
        "parent_id": "上级节点 上级节点编码 上级编码 父节点 父节点编码 上联节点 parent",
        **_RESPONSIBLE,
    },
    Kind.DIVISIONS: {
        "code": "行政区划代码 区划代码 统计用区划代码 代码 编码",
        "name": "名称 区划名称 行政区划名称",
        "parent": "上级代码 上级区划代码 上级 父级代码 parentcode",
        "source": "来源 数据来源",
    },
    Kind.GRIDS: {
        "grid_id": "网格编码 网格编号 网格代码 网格id id gridcode",
        "name": "网格名称 名称 gridname",
        "village_code": "村编码 社区编码 村社区编码 所属村社区 所属村 所属社区 村 社区 "
        "parentvillagecode village",
        "township_code": "乡镇编码 街道编码 乡镇 街道",
        "beat": "警务区 所属警务区 警务区编码 警务区编号 警格 所属警格 policebeat",
        "grid_worker": "网格员岗位 网格员联系编码 网格员通讯编码",
        "beat_officer": "警格民警岗位 社区民警岗位 警务区民警岗位 民警联系编码",
        "village_chief": "村长岗位 村社区长岗位 村主任岗位 村社区长联系编码",
        "volunteers": "驼城义警 义警队 义警联系编码 驼城义警联系编码",
        "synthetic": "",
        "geometry": "图形 边界",
    },
    Kind.WINDOWS: {
        "id": "编号 窗口编号 计划编号 windowid",
        "target": "对象 检修对象 对象编码 设备编码 设备或节点 targetid",
        "starts_at": "开始时间 起始时间 检修开始 start",
        "ends_at": "结束时间 终止时间 检修结束 end",
        "daily_from": "每日开始 每日起 每天开始",
        "daily_to": "每日结束 每日止 每天结束",
        "reason": "原因 事由 检修原因 备注",
    },
    Kind.PLACES: {
        "id": "编号 编码 部位编号 部位编码 地点编号 placeid",
        "name": "名称 部位名称 地点名称",
        "kind": "类型 类别 部位类型 部位类别 重点部位类型 type",
        "weight": "权重",
        "level": "等级 要求等级 清晰度等级 覆盖等级",
        **_POSITION,
        "township_code": "乡镇编码 街道编码 乡镇 街道",
        "village_code": "村编码 社区编码 村社区编码 村 社区",
        "grid_id": "网格编码 网格编号 网格",
        "synthetic": "",
        "geometry": "图形 边界",
    },
    Kind.FOOTPRINTS: {
        "id": "编号 编码 建筑编号 楼栋编号 buildingid",
        "name": "名称 建筑名称",
        "synthetic": "",
        "geometry": "图形 边界 轮廓",
    },
    Kind.PROHIBITED: {
        "id": "编号 编码",
        "name": "名称",
        "kind": "类型 类别 type",
        "synthetic": "",
        "geometry": "图形 边界 范围",
    },
    Kind.CANDIDATES: {
        "id": "编号 编码 杆号 立杆编号 siteid",
        "name": "名称 点位名称",
        "kind": "类型 类别 杆件类型 type",
        **_POSITION,
        "power": "供电 有无供电 取电",
        "network": "网络 有无网络 传输",
        "cost": "费用 造价 单价 估价",
        "synthetic": "",
        "geometry": "图形",
    },
    Kind.SENSORS: {
        "id": "编号 编码 传感器编号 设备编号 sensorid",
        "name": "名称 传感器名称 设备名称",
        "kind": "类型 类别 传感器类型 type",
        "topic": "主题 订阅主题 上报主题",
        **_POSITION,
        "township_code": "乡镇编码 街道编码 乡镇 街道",
        "village_code": "村编码 社区编码 村社区编码 村 社区",
        "grid_id": "网格编码 网格编号 网格",
        "maintainer": _RESPONSIBLE["maintainer"],
        "contact": _RESPONSIBLE["contact"],
        "in_use": "在用 是否在用 启用",
        "synthetic": "",
        "geometry": "图形",
    },
}
"""Per kind: key -> other names of the column, divided by blanks. A key is a name of itself."""

SIGNATURES: dict[Kind, tuple[frozenset[str], ...]] = {
    Kind.CAMERAS: (frozenset({"device_id", "ip_address"}), frozenset({"ip_address", "name"})),
    Kind.WINDOWS: (frozenset({"target", "starts_at"}), frozenset({"target", "daily_from"})),
    Kind.GRIDS: (frozenset({"grid_id", "village_code", "geometry"}),),
    Kind.NODES: (frozenset({"id", "kind", "parent_id"}),),
    Kind.SENSORS: (frozenset({"id", "kind", "topic"}),),
    Kind.CANDIDATES: (frozenset({"id", "power", "network"}),),
    Kind.PLACES: (frozenset({"id", "name", "kind", "weight"}),),
    Kind.DIVISIONS: (frozenset({"code", "name", "parent"}),),
}
"""Any of these sets of recognized columns makes a file possibly one of that kind."""

SECRET_NAMES = frozenset(
    [
        "password",
        "passwd",
        "pwd",
        "secret",
        "密码",
        "口令",
        "登录密码",
        "设备密码",
        "设备口令",
        "登录口令",
        "用户密码",
        "username",
        "user",
        "loginname",
        "用户名",
        "登录名",
        "登录账号",
        "账号",
        "帐号",
        "登录用户名",
        "设备用户名",
        "用户口令",
        "mm",
        "yhm",
    ]
)
"""Columns that hold a login: dropped unread. Credentials come from their own file."""

_BRACKETS = re.compile(r"[(\[{<【〔《][^)\]}>】〕》]*[)\]}>】〕》]")
_SIGNS = re.compile(r"[\W_]+")


def plain_name(header: str) -> str:
    """A header as it is compared: no case, width, blanks, signs, or remarks in brackets."""
    text = unicodedata.normalize("NFKC", header).casefold()
    bare = _SIGNS.sub("", _BRACKETS.sub("", text))
    return bare or _SIGNS.sub("", text)


def _lookup(kind: Kind) -> dict[str, str]:
    names = {plain_name(key): key for key in ALIASES[kind]}
    for key, aliases in ALIASES[kind].items():
        for alias in aliases.split():
            names.setdefault(plain_name(alias), key)
    return names


LOOKUP: dict[Kind, dict[str, str]] = {kind: _lookup(kind) for kind in Kind}
"""Per kind: plain name -> key."""


_SHAPES = frozenset(
    name for names in LOOKUP.values() for name, key in names.items() if key == "geometry"
)


def holds_shapes(column: str) -> bool:
    """Whether a column, as written, may hold geometries: those are longer than any other cell."""
    return plain_name(column) in _SHAPES


@dataclass(frozen=True, slots=True)
class Header:
    """What the columns of one file mean.

    Attributes:
        keys: column as written -> key, for the recognized ones; one column a key.
        unknown: columns as written that are kept under their own names.
        repeated: unknown columns whose key another column holds already.
        secret: columns dropped because they hold logins.
    """

    kind: Kind
    keys: Mapping[str, str]
    unknown: tuple[str, ...]
    repeated: tuple[str, ...]
    secret: tuple[str, ...]


def read_header(kind: Kind, columns: Sequence[str]) -> Header:
    """Recognize the columns of a file whose kind is known.

    An exact key wins over other names for it; of two equal ones the first wins.
    """
    names = LOOKUP[kind]
    keys: dict[str, str] = {c: c for c in columns if c in ALIASES[kind]}
    taken = set(keys)
    unknown: list[str] = []
    repeated: list[str] = []
    secret: list[str] = []
    for column in columns:
        if column in keys:
            continue
        plain = plain_name(column)
        key = names.get(plain)
        if key is None and plain in SECRET_NAMES:
            secret.append(column)
        elif key is None or key in taken:
            unknown.append(column)
            if key is not None:
                repeated.append(column)
        else:
            keys[column] = key
            taken.add(key)
    return Header(kind, keys, tuple(unknown), tuple(repeated), tuple(secret))


def detect_kind(columns: Sequence[str]) -> Kind | None:
    """What a file lists, by its columns; None when nothing fits.

    Where several kinds fit (a camera file has a name and an id, too), the one that recognizes the
    most columns wins, then the order of `SIGNATURES`.
    """
    best: tuple[int, Kind] | None = None
    for kind, signatures in SIGNATURES.items():
        keys = frozenset(read_header(kind, columns).keys.values())
        if any(signature <= keys for signature in signatures) and (
            best is None or len(keys) > best[0]
        ):
            best = (len(keys), kind)
    return best[1] if best else None
