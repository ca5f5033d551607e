"""What the lab world knows: 48 subjects with a few facts each. Data only; chat.py makes sentences of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Subject:
    """A mass noun and its facts; the last words of place, need, use and extra belong to no other subject."""

    topic: str
    name: str
    kind: str
    adjectives: tuple[str, str]
    place: str
    need: str
    use: str
    extra: str

    @property
    def keywords(self) -> tuple[str, ...]:
        """Words that show that a sentence is about this subject."""
        return (self.name, *(last_word(fact) for fact in (self.place, self.need, self.use, self.extra)))


def last_word(phrase: str) -> str:
    """Return the last word of a fact."""
    return phrase.rsplit(" ", 1)[-1]


_TABLE = """
drink|tea|a hot drink|calm,light|in a teapot|fresh leaves|helps you relax|with lemon
drink|coffee|a strong drink|dark,bitter|in a cafe|ground beans|keeps you awake|with cream
drink|milk|a white drink|cold,rich|on a dairy|a healthy cow|builds strong bones|with cereal
drink|juice|a sweet drink|fresh,bright|in a carton|ripe oranges|gives you vitamins|with ice
food|bread|a basic food|soft,warm|in a bakery|flour and yeast|fills you up at breakfast|with butter
food|rice|a common food|plain,light|in a paddy|boiling and steaming|feeds whole villages|with curry
food|cheese|a rich food|salty,old|in a cellar|time and rennet|goes well on pizza|with grapes
food|honey|a natural food|sweet,golden|in a hive|busy bees|soothes a sore throat|with toast
weather|rain|a kind of weather|wet,grey|under dark clouds|rising vapour|fills the rivers|with an umbrella
weather|snow|a form of winter weather|white,quiet|on high peaks|freezing temperatures|is good for sledges|with mittens
weather|wind|a kind of moving air|strong,fresh|near the coast|uneven pressure|turns the turbines|with a kite
weather|fog|a kind of low cloud|thick,grey|in a valley|damp mornings|makes streets look mysterious|with headlights
material|wood|a natural material|hard,warm|in a forest|many slow years of growth|is good for furniture|with varnish
material|glass|a clear material|smooth,hard|in a window|melted quartz|lets in daylight|with care and a frame
material|iron|a heavy metal|strong,grey|in a mine|a hot furnace|makes good bridges|with a coat of paint
material|wool|a soft material|warm,light|on a sheep|careful shearing|is good for sweaters|with a gentle detergent
game|chess|a board game|slow,deep|in a club|two patient opponents|trains your memory|with a clock
game|cards|a table game|quick,social|in a casino|a shuffled deck|passes the evening|with three friends
game|golf|a quiet game|green,slow|on a fairway|a good swing|gets you outdoors|with a caddie
game|darts|a pub game|sharp,simple|in a pub|a steady hand|sharpens your aim|with chalk
art|painting|a visual art|bold,free|in a gallery|brushes and canvas|shows your feelings|with oils
art|dancing|a lively art|fast,happy|in a ballroom|rhythm|brings couples together|with a partner
art|singing|a vocal art|loud,joyful|in a choir|a trained voice|lifts your mood|with a piano
art|poetry|a written art|short,deep|in a notebook|the right words|plays with rhyme|with candlelight
craft|knitting|a patient craft|calm,useful|in an armchair|two needles|makes lovely scarves|with thick yarn
craft|sewing|a useful craft|exact,slow|at a workbench|strong thread|repairs torn clothes|with a thimble
craft|pottery|an old craft|messy,round|in a kiln|wet clay|gives you handmade bowls|with glaze
craft|carving|a sharp craft|slow,fine|in a workshop|a keen chisel|makes little statues|with gloves
sport|swimming|a water sport|wet,smooth|in a pool|deep breathing|trains every muscle|with goggles
sport|running|a simple sport|fast,free|on a track|good shoes|strengthens your heart|with a stopwatch
sport|cycling|a wheel sport|fast,green|on a lane|two good tyres|saves petrol|with a helmet
sport|skiing|a winter sport|steep,cold|on a slope|wax|is a thrill|with poles
study|history|a field of study|long,human|in an archive|old documents|explains past wars|with dates
study|biology|a natural science|rich,living|in a laboratory|a microscope|explains animals|with diagrams
study|physics|an exact science|deep,hard|in an observatory|exact measurements|explains gravity|with equations
study|music|a field of sound|loud,rich|in a theatre|daily rehearsal|fills silence|with a violin
nature|grass|a small plant|green,soft|on a lawn|regular mowing|feeds horses|with clover
nature|moss|a tiny plant|soft,damp|on a stone|shade|holds moisture|with ferns
nature|sand|a loose ground|dry,fine|on a beach|crushed shells|is good for castles|with a bucket
nature|coral|a sea animal|bright,slow|on a reef|clear seawater|shelters fish|with plankton
home|soap|a home product|clean,mild|in a bathroom|plant fats|removes dirt|with a sponge
home|paper|a thin product|flat,white|in an office|wood pulp|is good for letters|with pencils
home|salt|a white product|dry,cheap|in a shaker|evaporation|keeps meat from spoiling|with pepper
home|candy|a small treat|sweet,sticky|in a jar|sugar|pleases children|with liquorice
health|sleep|a daily rest|deep,quiet|in a bed|darkness|restores your energy|with a pillow
health|yoga|a gentle exercise|calm,slow|on a mat|balance|stretches your back|with incense
health|walking|an easy exercise|gentle,free|in a park|comfortable boots|clears your head|with a dog
health|fruit|a healthy snack|sweet,fresh|in an orchard|sunshine|prevents scurvy|with yoghurt
"""


def _parse(line: str) -> Subject:
    topic, name, kind, adjectives, place, need, use, extra = line.split("|")
    first, second = adjectives.split(",")
    return Subject(topic, name, kind, (first, second), place, need, use, extra)


SUBJECTS: tuple[Subject, ...] = tuple(_parse(line) for line in _TABLE.strip().splitlines())
