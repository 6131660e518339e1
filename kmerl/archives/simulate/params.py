"""The parameters' section ``simulate``."""

from kmerl.archives.simulate.cpsc2018 import SimulateCpsc2018Params
from kmerl.archives.simulate.csn import SimulateCsnParams
from kmerl.archives.simulate.mimic_iv_ecg import SimulateMimicParams
from kmerl.archives.simulate.ptb_xl import SimulatePtbXlParams
from kmerl.section import Section


class SimulateParams(Section):
    """One section per archive that can be simulated."""

    mimic_iv_ecg: SimulateMimicParams
    ptb_xl: SimulatePtbXlParams
    cpsc2018: SimulateCpsc2018Params
    csn: SimulateCsnParams
