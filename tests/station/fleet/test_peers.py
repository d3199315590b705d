"""A rollout through programs that we did not write: a broker that asks for certificates, a registry; signed by an OpenSSF bundle."""

import asyncio
import hashlib
import random
from types import SimpleNamespace

import pytest

from plc_bindings.mqtt.broker import BrokerOptions
from plc_bindings.security.bundles import SUFFIX
from plc_bindings.security.signing import ECDSA, generate, load_private, sign
from plc_bindings.security.updates import Updates
from rt_engine.change import ChangeState
from station.errors import RolloutError
from station.fleet.artifacts import Shelf
from station.fleet.begin import plan_of
from station.fleet.commander import begun, command
from station.fleet.documents import Stage
from station.fleet.driver import FleetAgent, FleetOptions
from station.fleet.file import read_fleet
from station.fleet.oci import MODEL
from station.fleet.plant import StationPlant
from station.fleet.rollout import RolloutState
from station.fleet.session import Session
from station.fleet.web import ArtifactError, Web
from tests.peers.mosquitto import Mosquitto
from tests.peers.registry import Registry
from tests.plc_bindings.modbus.test_tls import Authority
from tests.station.fleet.world import OLD, Log
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.peer("mosquitto"), pytest.mark.peer("docker-registry"), pytest.mark.peer("skopeo")]
MODEL_BYTES = random.Random(5).randbytes(2_500_000)
SHA = hashlib.sha256(MODEL_BYTES).hexdigest()
ACCESS = """pattern read rt-engine/stations/%u/desired
pattern readwrite rt-engine/stations/%u/online
pattern write rt-engine/stations/%u/reported
user commander
topic readwrite rt-engine/#
"""


class Page:
    """A running station as its agent sees it, without an engine: what `Updates` has checked runs at once."""

    avoid: frozenset = frozenset()

    def __init__(self, folder, key):
        self.models, self.view = (
            {"policy": OLD},
            SimpleNamespace(slot="policy", version=1, state=ChangeState.NONE, sha256="", reason=""),
        )
        self.uploads = Updates((key,), ("policy",), self._replace, folder / "serials.json")

    def _replace(self, slot, source, who, signature):
        self.models = {slot: source.sha256}
        self.view = SimpleNamespace(slot=slot, version=2, state=ChangeState.COMMITTED, sha256=source.sha256, reason="")
        return SimpleNamespace(version=2, state=ChangeState.COMMITTED, message="")

    def measures(self):
        return SimpleNamespace(models=self.models, changes=[self.view], tasks={}, links={})


def broker(folder, authority):
    server = authority.issue("server")
    (folder / "access").write_text(ACCESS)
    return Mosquitto(
        folder,
        *(f"cafile {authority.file}", f"certfile {server[0]}", f"keyfile {server[1]}"),
        *("require_certificate true", "use_identity_as_username true", f"acl_file {folder / 'access'}"),
    )


def agent(folder, name, port, authority, issuer, commander, page, source):
    certificate, key, _ = issuer.issue(name)
    options = BrokerOptions(
        "localhost", port, name, ca_file=authority.file, cert_file=certificate, key_file=key, retry_s=0.2
    )
    log = Log()
    fleet = FleetOptions(name, options, folder / name, (commander,), (source,))
    return FleetAgent(fleet, StationPlant(page, page.uploads), log.record, log.record_change)


def fleet_file(folder, port, authority):
    """A commander's, with a certificate of its own; its public key."""
    certificate, key, _ = authority.issue("commander")
    (folder / "fleet.toml").write_text(
        f'broker = "localhost"\nport = {port}\nca_file = "{authority.file}"\ncert_file = "{certificate}"\nkey_file = "{key}"\n'
        'key = "orders.pem"\n'
    )
    return generate(folder / "orders.pem")


async def until(condition, seconds=PATIENCE_S):
    end = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < end, "it did not happen in time"
        await asyncio.sleep(0.05)


def test_a_bundle_in_a_registry_is_rolled_out_over_a_broker_that_asks_for_certificates(tmp_path):
    """Two stations; a third one has a certificate of another authority: it stays away. Then the registry serves other bytes."""
    signer = generate(tmp_path / "models.pem", ECDSA)
    bundle = sign(load_private(tmp_path / "models.pem"), "policy", MODEL_BYTES, 7, "policy.onnx")
    authority = Authority(tmp_path)
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "stranger")

    async def run(mosquitto, registry):
        source = f"oci://{registry.address}/plant/policy"
        registry.push(
            "plant/policy:1.4",
            {"policy.onnx": (MODEL, MODEL_BYTES), f"policy.onnx{SUFFIX}": ("application/json", bundle)},
        )
        commander = fleet_file(tmp_path, mosquitto.port, authority)
        file, log = read_fleet(tmp_path / "fleet.toml"), Log()
        pages = {name: Page(tmp_path, signer) for name in ("press-1", "press-2", "lathe")}
        issuers = {"lathe": stranger}
        agents = {
            name: agent(
                tmp_path, name, mosquitto.port, authority, issuers.get(name, authority), commander, page, source
            )
            for name, page in pages.items()
        }
        for one in agents.values():
            await one.start()
        try:
            await until(lambda: all(agents[name].status().clients for name in ("press-1", "press-2")))
            plan = await plan_of(file, "policy", f"{source}:1.4", (), {"waves": ("1", "all")}, "100 ms", "1 min")
            async with Session(file.options(), log) as looking:
                known = looking.fleet.members
                await until(lambda: sum(one.reported is not None for one in known.values()) == 2)
            done = await command(file.options(), log, begun(plan))
            assert (done.state, done.total, done.why) == (RolloutState.DONE, 2, "2 committed")
            async with Session(file.options(), log) as session:
                members = session.fleet.members
                said = {name: one.reported.slots["policy"] for name, one in members.items()}
            stands = {name: (one.stage, one.sha256, one.serial) for name, one in said.items()}
            assert stands == dict.fromkeys(("press-1", "press-2"), (Stage.COMMITTED, SHA, 7))
            await until(lambda: agents["lathe"].status().trouble)
            assert pages["lathe"].models == {"policy": OLD} and not agents["lathe"].status().clients
            registry.spoil(SHA)
            async with Web() as web:
                with pytest.raises(ArtifactError, match=f"serves other bytes: SHA-256 .*, the order says {SHA}"):
                    await Shelf(tmp_path / "shelf").get(web, plan.slots["policy"], (source,))
            registry.spoil(hashlib.sha256(bundle).hexdigest())
            with pytest.raises(RolloutError, match="serves other bytes than its digest says"):
                await plan_of(file, "policy", f"{source}:1.4", (), {}, "100 ms", "1 min")
        finally:
            for one in agents.values():
                await one.stop()

    with broker(tmp_path, authority) as mosquitto, Registry(tmp_path) as registry:
        asyncio.run(asyncio.wait_for(run(mosquitto, registry), 100))
