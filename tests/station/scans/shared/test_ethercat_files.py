"""Files of other masters -> a station file. The files are made here, after LinuxCNC's reference and ETG.2100."""

import random

import pytest

from station.errors import ScanError
from station.file.reading import read_station
from station.scans.shared.ethercat_files import read_bus
from station.scans.shared.ethercat_proposal import proposal
from tests.station.scans.shared.test_ethercat_proposal import with_outputs

LCEC = """<!-- a drive, two terminals -->
<masters>
  <master idx="0" appTimePeriod="1000000" refClockSyncCycles="1">
    <slave idx="0" type="EK1100" name="coupler"/>
    <slave idx="2" type="generic" vid="000000ab" pid="0000abcd" configPdos="true" name="X-axis">
      <dcConf assignActivate="300" sync0Cycle="*1" sync0Shift="25000"/>
      <watchdog divider="2498" intervals="2000"/>
      <sdoConfig idx="6060" subIdx="00"><sdoDataRaw data="08"/></sdoConfig>
      <sdoConfig idx="8000" subIdx="complete"><sdoDataRaw data="01 02"/><sdoDataRaw data="ff"/></sdoConfig>
      <sdoConfig idx="1c12" subIdx="00"><sdoDataRaw data="00"/></sdoConfig>
      <modParam name="x" value="1"/>
      <syncManager idx="0" dir="out"/><syncManager idx="1" dir="in"/>
      <syncManager idx="2" dir="out">
        <pdo idx="1600">
          <pdoEntry idx="6040" subIdx="00" bitLen="16" halPin="control-word" halType="u32"/>
          <pdoEntry idx="607A" subIdx="00" bitLen="32" halPin="target" halType="float" scale="0.001" offset="5"/>
        </pdo>
      </syncManager>
      <syncManager idx="3" dir="in">
        <pdo idx="1a00">
          <pdoEntry idx="6041" subIdx="00" bitLen="16" halType="complex">
            <complexEntry bitLen="1" halPin="ready" halType="bit"/><complexEntry bitLen="15"/>
          </pdoEntry>
          <pdoEntry idx="0000" subIdx="00" bitLen="8"/>
          <pdoEntry idx="6061" subIdx="0a" bitLen="8" halPin="mode" halType="s32"/>
          <pdoEntry idx="2000" subIdx="01" bitLen="32" halPin="load" halType="float-ieee"/>
        </pdo>
      </syncManager>
    </slave>
    <slave idx="1" type="generic" vid="2" pid="03fa3052" configPdos="true" name="inputs">
      <syncManager idx="0" dir="in">
        <pdo idx="1a00"><pdoEntry idx="6000" subIdx="01" bitLen="1" halPin="din-0" halType="bit"/></pdo>
        <pdo idx="1a01"><pdoEntry idx="6010" subIdx="01" bitLen="1" halPin="din-1" halType="bit"/></pdo>
      </syncManager>
    </slave>
  </master>
</masters>
"""

ENI = """<?xml version="1.0" encoding="utf-8"?>
<EtherCATConfig Version="1.3">
 <Config>
  <Master><Info><Name>Device 1</Name></Info></Master>
  <Slave>
   <Info><Name><![CDATA[Term 1 (EK1100)]]></Name><AutoIncAddr>0</AutoIncAddr><VendorId>2</VendorId><ProductCode>72100946</ProductCode>
    <RevisionNo>1179648</RevisionNo></Info>
  </Slave>
  <Slave>
   <Info><Name>Drive 2 (AX)</Name><AutoIncAddr>65535</AutoIncAddr><VendorId>#x02</VendorId>
    <ProductCode>-1</ProductCode><RevisionNo>1</RevisionNo></Info>
   <ProcessData>
    <Send><BitStart>208</BitStart><BitLength>48</BitLength></Send>
    <Recv><BitStart>208</BitStart><BitLength>24</BitLength></Recv>
    <RxPdo Sm="2" Fixed="1"><Index>#x1600</Index><Name>Outputs</Name>
     <Entry><Index>#x6040</Index><SubIndex>0</SubIndex><BitLen>16</BitLen><Name>Controlword</Name><DataType>UINT</DataType></Entry>
     <Entry><Index>#x607A</Index><SubIndex>0</SubIndex><BitLen>32</BitLen><Name>Target</Name><DataType>DINT</DataType></Entry>
    </RxPdo>
    <TxPdo Sm="3"><Index>#x1a00</Index><Name>Inputs</Name>
     <Entry><Index>#x6041</Index><SubIndex>0</SubIndex><BitLen>16</BitLen><DataType>UINT</DataType></Entry>
     <Entry><Index>#x0</Index><BitLen>6</BitLen></Entry>
     <Entry><Index>#x2000</Index><SubIndex>#x11</SubIndex><BitLen>2</BitLen><Name>Limit</Name><DataType>BIT2</DataType></Entry>
    </TxPdo>
    <TxPdo><Index>#x1a01</Index><Name>Not assigned</Name></TxPdo>
   </ProcessData>
   <Mailbox><Send><Start>4096</Start><Length>128</Length></Send><CoE><InitCmds>
    <InitCmd Fixed="1"><Transition>PS</Transition><Index>7186</Index><SubIndex>0</SubIndex><Data>00</Data></InitCmd>
    <InitCmd><Transition>PS</Transition><Comment>mode</Comment><Index>24672</Index><SubIndex>0</SubIndex><Data>08</Data></InitCmd>
    <InitCmd CompleteAccess="1"><Transition>IP</Transition><Index>#x8000</Index><SubIndex>0</SubIndex><Data>0102ff</Data></InitCmd>
    <InitCmd><Transition>OS</Transition><Index>#x3000</Index><SubIndex>0</SubIndex><Data>00</Data></InitCmd>
    <InitCmd><Transition>PS</Transition><Index>#x3001</Index><SubIndex>0</SubIndex><Data>00</Data><Disabled>1</Disabled></InitCmd>
   </InitCmds></CoE></Mailbox>
   <DC><CycleTime0>1000000</CycleTime0><ShiftTime>-250000</ShiftTime></DC>
  </Slave>
  <Cyclic><CycleTime>2000</CycleTime></Cyclic>
  <ProcessImage><Inputs><ByteSize>64</ByteSize>
   <Variable><Name>Drive 2 (AX).Inputs.Statusword</Name><DataType>UINT</DataType><BitSize>16</BitSize><BitOffs>208</BitOffs></Variable>
  </Inputs></ProcessImage>
 </Config>
</EtherCATConfig>
"""


@pytest.fixture
def read(tmp_path):
    """A file's text -> the station file as values, and as text."""

    def make(text, **keys):
        path = tmp_path / "bus.xml"
        path.write_text(text)
        made = proposal(read_bus(path, "eth1", "rt-engine ethercat import", **keys))
        return with_outputs(made), made

    return make


def test_linuxcnc(read):
    """Slaves by name and place, identity, start-up SDOs, PDOs, watchdog, cycle; pins are tags, with scale and offset."""
    file, text = read(LCEC)
    bus = file["links"]["bus"]
    assert bus["cycle"] == "1 ms"
    assert "slave_count" not in bus
    assert bus["slaves"]["coupler"] == {"position": 0}
    axis = bus["slaves"]["X_axis"]
    assert (axis["position"], axis["vendor"], axis["product"], axis["watchdog"]) == (2, 0xAB, 0xABCD, "200 ms")
    assert axis["pdos"] == [
        {"index": 0x1600, "entries": ["0x6040:00:16", "0x607A:00:32"]},
        {"index": 0x1A00, "entries": ["0x6041:00:16", "0x0000:00:8", "0x6061:0A:8", "0x2000:01:32"]},
    ]
    assert axis["sdos"] == [
        {"index": 0x6060, "value": 8, "type": "uint8"},
        {"index": 0x8000, "value": "0102ff", "type": "bytes", "complete": True},
    ]
    assert file["tags"] == {
        "X_axis_control_word": {"direction": "out", "type": "uint16", "address": "X_axis:0x6040:00"},
        "X_axis_target": {
            "direction": "out",
            "type": "int32",
            "address": "X_axis:0x607A:00",
            "scale": 0.001,
            "offset": 5,
        },
        "X_axis_x6041_00": {"type": "uint16", "address": "X_axis:0x6041:00"},
        "X_axis_mode": {"type": "int8", "address": "X_axis:0x6061:0A"},
        "X_axis_load": {"type": "float32", "address": "X_axis:0x2000:01"},
        "inputs_din_0": {"type": "bool", "address": "inputs:0x6000:01"},
        "inputs_din_1": {"type": "bool", "address": "inputs:0x6010:01"},
    }
    for remark in (
        "0x6041:00 has parts, in bits: ready: 1, gap: 15",
        "assignActivate 300",
        "LinuxCNC's driver for EK1100",
        "a parameter of",
    ):
        assert remark in text


def test_a_terminal_without_mailbox_is_not_told_what_it_exchanges(read):
    """It has no CoE: it would refuse."""
    file, _ = read(LCEC)
    assert file["links"]["bus"]["slaves"]["inputs"] == {"position": 1, "vendor": 2, "product": 0x03FA3052}


def test_several_masters(read):
    """One has to be chosen."""
    two = '<masters><master idx="0"><slave idx="0" type="A"/></master><master idx="3"><slave idx="0" type="B"/></master></masters>'
    with pytest.raises(ScanError, match="it has 2 masters, 0, 3; say which one: --master"):
        read(two)
    assert list(read(two, master=3)[0]["links"]["bus"]["slaves"]) == ["B"]
    with pytest.raises(ScanError, match="no master 1"):
        read(two, master=1)


def test_eni(read):
    """Slaves, identity, PDOs, start-up SDOs on the way up, cycle; names of entries, else of variables of the process image."""
    file, text = read(ENI)
    bus = file["links"]["bus"]
    assert (bus["cycle"], bus["slave_count"]) == ("2 ms", 2)
    assert bus["slaves"]["EK1100"] == {"position": 0, "vendor": 2, "product": 0x044C2C52}
    assert bus["slaves"]["AX"] == {
        "position": 1,
        "vendor": 2,
        "product": 0xFFFFFFFF,
        "pdos": [0x1600, {"index": 0x1A00, "entries": ["0x6041:00:16", "0x0000:00:6", "0x2000:11:2"]}],
        "sdos": [
            {"index": 0x6060, "value": 8, "type": "uint8"},
            {"index": 0x8000, "value": "0102ff", "type": "bytes", "complete": True},
        ],
    }
    assert file["tags"] == {
        "AX_Controlword": {"direction": "out", "type": "uint16", "address": "AX:0x6040:00"},
        "AX_Target": {"direction": "out", "type": "int32", "address": "AX:0x607A:00"},
        "AX_Statusword": {"type": "uint16", "address": "AX:0x6041:00"},
        "AX_Limit": {"type": "bool", "address": "AX:0x2000:11", "count": 2},
    }
    assert "SYNC0 every 1000000 ns, shift -250000 ns" in text


@pytest.mark.parametrize("text", [LCEC, ENI], ids=["lcec", "eni"])
def test_the_station_file_is_one(text, read, tmp_path):
    """`check` has nothing against it: keys, SDOs, PDOs, addresses are those of the link."""
    path = tmp_path / "station.toml"
    path.write_text(read(text)[1])
    assert list(read_station(path).config.links) == ["bus"]


def test_assignments_that_no_pdo_tells_are_kept(read):
    """Some files have the commands alone."""
    start = ENI.index("<ProcessData>")
    file, _ = read(ENI[:start] + ENI[ENI.index("</ProcessData>") + len("</ProcessData>") :])
    assert file["links"]["bus"]["slaves"]["AX"]["sdos"][0] == {"index": 0x1C12, "value": 0, "type": "uint8"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<EtherCATInfo/>", "a kind of slave"),
        ("<html/>", "begins with <html>"),
        ("<EtherCATConfig/>", "no <Config>"),
        ("<masters/>", "0 masters, none"),
        ("<EtherCATConfig><Config><Slave/></Config></EtherCATConfig>", "slave 0 has no <Info>"),
        ('<masters><master><slave type="X"/></master></masters>', "a slave's idx: idx is missing"),
        ('<masters><master><slave idx="0"/><slave idx="0"/></master></masters>', "both at position 0"),
        (LCEC.replace('dir="out">', 'dir="up">'), 'syncManager 2: dir "up"'),
        (LCEC.replace('bitLen="32"', 'bitLen="999"'), "999 is not between 1 and 255"),
        (LCEC.replace('scale="0.001"', 'scale="0"'), 'scale "0" is no number that'),
        (LCEC.replace('data="08"', 'data="8"'), "two for a byte"),
        (ENI.replace("<VendorId>2<", "<VendorId>two<"), 'VendorId: "two" is no number'),
    ],
)
def test_files_that_contradict_themselves(text, words, read):
    """Where it is, and what is wrong."""
    with pytest.raises(ScanError, match=words):
        read(text)


@pytest.mark.parametrize("text", [LCEC, ENI], ids=["lcec", "eni"])
def test_damaged_files_are_read_or_refused(text, read):
    """Whatever is in one: a station file that is TOML, or a refusal."""
    chance = random.Random(3)
    outcomes = set()
    for _ in range(400):
        damaged = list(text)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.choice('0f9"<>/ &\n-#x')
        try:
            read("".join(damaged))
            outcomes.add("read")
        except ScanError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}
