"""Guided questions by kind of alarm: what to ask and do, in the order in which it matters.

Chinese sources; the English stands in dashboards/locale/en/incidents.po. They are prompts for a
trained operator, not medical advice: where life may be at stake the first line is to call 120/119.
"""

from collections.abc import Mapping

from devices.alarms import AlarmKind

_IDENTIFY = "请先自报：12349 值班员，并称呼老人姓名，确认接听的是本人还是他人。"
_CONSCIOUS = "老人能否清楚回答？说话是否含糊、口角是否歪斜？有异常立即拨打 120。"
_BREATHING = "有没有胸痛、胸闷、气短、出冷汗？有任一项立即拨打 120。"
_ALONE = "现在身边有没有人？谁有家里的钥匙？"
_REPEAT = "请老人休息五分钟后再测一次，按医嘱姿势，读数报给您。"
_MEDICINE = "今天的药按时吃了吗？最近有没有换药？"
_NO_ANSWER = "无人应答：按顺序联系家属，同时派人上门，不要等待。"
_STAY = "不要挂断电话，陪老人说话，直到有人到场。"

QUESTIONS: Mapping[AlarmKind, tuple[str, ...]] = {
    AlarmKind.SOS: (
        _IDENTIFY,
        "您现在哪里不舒服，需要什么帮助？",
        _BREATHING,
        _CONSCIOUS,
        _ALONE,
        "是不是误按？如是误按，请听语气确认老人没有被人胁迫。",
        _NO_ANSWER,
    ),
    AlarmKind.FALL: (
        _IDENTIFY,
        "您是不是摔倒了？现在是坐着、躺着还是站着？",
        "先不要急着起身。头、颈、腰、髋有没有疼？手脚能不能动？",
        "头有没有碰到？有没有出血？是否在吃抗凝药（如华法林、阿司匹林）？",
        _CONSCIOUS,
        "疑似骨折、头部受伤或不能起身：拨打 120，告知不要搬动，注意保暖。",
        _STAY,
        _NO_ANSWER,
    ),
    AlarmKind.SMOKE: (
        "看到明火或浓烟了吗？立即拨打 119，并告知楼栋、单元、楼层。",
        "请马上离开房间，弯腰低头走，不要乘电梯，不要回去拿东西。",
        "家里还有没有别人？谁行动不便？",
        "如走不出去：关门，用湿毛巾堵门缝，到窗口呼救。",
        "是不是做饭的油烟？关火后再确认。",
        "联系物业和邻居上门协助疏散。",
    ),
    AlarmKind.GAS: (
        "请不要开灯、不要点火、不要在室内打电话，先走到屋外。",
        "能否关上燃气总阀、打开窗户？不方便就直接离开。",
        "有没有头晕、恶心、没力气？有则拨打 120。",
        "请到室外后再回拨；联系燃气公司抢修，必要时拨打 119。",
        "通知邻居和物业，不要按门铃，用敲门。",
    ),
    AlarmKind.WATER_LEAK: (
        "能不能看到哪里漏水？请先关水表阀门。",
        "地面湿滑，请老人坐好不要走动，谨防摔倒。",
        "漏水处附近有没有插座或电器？有则先关电闸。",
        "联系物业或维修人员上门。",
    ),
    AlarmKind.HEART_RATE_HIGH: (
        _IDENTIFY, "刚才是不是在活动、着急或发烧？", _BREATHING, _MEDICINE, _REPEAT, _NO_ANSWER,
    ),
    AlarmKind.HEART_RATE_LOW: (
        _IDENTIFY, "有没有头晕、眼前发黑或晕倒过？", _BREATHING, _MEDICINE, _REPEAT, _NO_ANSWER,
    ),
    AlarmKind.SPO2_LOW: (
        _IDENTIFY,
        "呼吸费力吗？嘴唇、指甲有没有发紫？有则拨打 120。",
        "设备戴好了吗？手是否冰凉、有没有涂指甲油？",
        "家里有没有制氧机？是否按医嘱使用？",
        _REPEAT,
        _NO_ANSWER,
    ),
    AlarmKind.BLOOD_PRESSURE_HIGH: (
        _IDENTIFY,
        "有没有剧烈头痛、看东西模糊、一侧手脚没力气？有则拨打 120。",
        _BREATHING,
        _MEDICINE,
        _REPEAT,
        _NO_ANSWER,
    ),
    AlarmKind.BLOOD_PRESSURE_LOW: (
        _IDENTIFY,
        "有没有头晕、出冷汗、站不稳？请先躺下，把脚垫高。",
        "最近有没有呕吐、腹泻、黑便或吃得很少？",
        _MEDICINE,
        _REPEAT,
        _NO_ANSWER,
    ),
    AlarmKind.BODY_TEMPERATURE_HIGH: (
        _IDENTIFY,
        "有没有寒战、咳嗽、气短或意识不清？有则拨打 120。",
        "什么时候开始发烧？用过什么药？",
        "请多喝水，如有人照看请协助物理降温。",
        _REPEAT,
    ),
    AlarmKind.BODY_TEMPERATURE_LOW: (
        _IDENTIFY,
        "家里冷不冷？暖气是否正常？衣服是否潮湿？",
        "有没有说话不清、行动迟缓？有则拨打 120。",
        "请盖被保暖，喝温水，不要用热水袋直接烫。",
        _REPEAT,
    ),
    AlarmKind.RESPIRATORY_RATE_HIGH: (_IDENTIFY, _BREATHING, _CONSCIOUS, _REPEAT, _NO_ANSWER),
    AlarmKind.RESPIRATORY_RATE_LOW: (
        _CONSCIOUS, "是否服用过安眠药或止痛药？", _BREATHING, _NO_ANSWER,
    ),
    AlarmKind.GLUCOSE_HIGH: (
        _IDENTIFY,
        "有没有口渴、多尿、恶心、腹痛或意识不清？有则拨打 120。",
        "胰岛素或降糖药今天用了吗？",
        _REPEAT,
    ),
    AlarmKind.GLUCOSE_LOW: (
        _CONSCIOUS,
        "有没有心慌、手抖、出汗、饥饿感？",
        "清醒时请马上吃糖块或喝含糖饮料，十五分钟后复测；不清醒不要喂食，拨打 120。",
        "今天吃饭了吗？胰岛素或降糖药用了多少？",
        _STAY,
    ),
    AlarmKind.DOOR_OPEN: (
        _IDENTIFY,
        "门为什么开着？是通风、来客还是出门忘了关？",
        "老人在不在家？有没有陌生人进出？",
        "老人有走失风险时：立即联系家属和社区，并查看最近位置。",
        _NO_ANSWER,
    ),
    AlarmKind.INACTIVITY: (
        _IDENTIFY,
        "今天身体怎么样？有没有一直躺着或坐着起不来？",
        "是不是外出了？外出请登记，免得误报。",
        _NO_ANSWER,
    ),
    AlarmKind.BED_EXIT: (
        _IDENTIFY, "您在哪里？是不是去了洗手间？", "有没有摔倒或头晕？", _NO_ANSWER,
    ),
    AlarmKind.GEOFENCE_EXIT: (
        _IDENTIFY,
        "您现在在哪里？旁边有什么标志、店名或路牌？",
        "请站在原地安全的地方，不要过马路，我们派人来接。",
        "联系家属是否同行；联系不上时派人，并视情报警 110。",
        "说明老人衣着、随身物品和最近位置。",
    ),
    AlarmKind.TAKEN_OFF: (
        _IDENTIFY, "设备是不是在充电或洗澡时摘下的？", "请重新戴好；不舒服请说明，安排上门。",
    ),
    AlarmKind.DEVICE_OFFLINE: (
        "设备是否断电、没电或被移动？网络是否正常？",
        "顺便问候老人：近况如何，是否需要帮助？",
        "不能远程恢复：派设备人员上门，期间增加电话问候。",
    ),
    AlarmKind.LOW_BATTERY: (
        "请老人或家属充电或更换电池。", "不会操作时安排上门更换。",
    ),
    AlarmKind.TAMPER: (
        "是谁动了设备？是打扫、装修还是有人拆卸？",
        "老人是否安全、家里有没有陌生人？",
        "安排设备人员检查并复位。",
    ),
    AlarmKind.CLOCK_SKEW: (
        "不影响求助：报警按到达时间处理。", "安排设备人员校对时钟或更换设备。",
    ),
    AlarmKind.SELF_TEST_OVERDUE: (
        "请老人或家属在测试模式下按一次求助键。", "不会操作时安排设备人员上门测试。",
    ),
}  # fmt: skip
