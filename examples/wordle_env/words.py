"""The words of the game: common English ones of five letters, in alphabetical order."""

from __future__ import annotations

_TEXT = """
about above abuse actor acute admit adopt adult after again agent agree ahead alarm
album alert alike alive allow alone along alter among anger angle angry apart apple
apply arena argue arise armor arrow aside asset audio avoid awake award aware bacon
badge baker basic basin basis beach beard beast begin being below bench berry birth
black blade blame blank blast blend bless blind block blood bloom board boast bonus
boost booth bound brain brake brand brave bread break breed brick bride brief bring
broad broom brown brush build bunch cabin cable camel candy canoe cargo carry carve
catch cause chain chair chalk charm chart chase cheap check cheek cheer chess chest
chief child chill choir chose civic civil claim class clean clear clerk cliff climb
cloak clock close cloth cloud coach coast coral couch could count court cover crack
craft crane crash cream creek crest crime crisp cross crowd crown crude crush curve
cycle daily dairy dance decay delay depth devil diary dirty ditch dizzy doubt dough
dozen draft drain drama dream dress drift drill drink drive eager eagle early earth
eight elbow elder elect empty enemy enjoy enter entry equal error essay event every
exact exist extra fable faint fairy faith false fancy favor feast fence ferry fever
fiber field fifth fifty fight final flame flash fleet flesh float flock flood floor
flour fluid flush focus force forge forth found frame fresh frost fruit funny ghost
giant glass globe glory glove grace grade grain grand grant grape graph grasp grass
grave great green greet grief grill group guard guess guest guide habit happy harsh
haste heart heavy hello hobby honey honor horse hotel house human humor hurry image
index inner input irony issue ivory jewel joint judge juice knife knock known label
labor large laser later laugh layer learn lemon level light limit linen liver local
logic loose lover lower loyal lucky lunch magic major maple march match maybe mayor
medal melon mercy merit metal meter midst might minor mixed model money month moral
motor mount mouse mouth movie music naive nerve never night noble noise north novel
nurse ocean offer often olive onion opera orbit order other ought ounce outer owner
paint panel panic paper party paste patch pause peace peach pearl penny phase phone
photo piano piece pilot pitch place plain plane plant plate plaza point polar porch
pound power press price pride prime print prize proof proud prove pulse punch pupil
queen quest quick quiet quilt quite quote radar radio raise rally ranch range rapid
ratio reach react ready realm rebel refer reign relax reply rider ridge rifle right
rigid rinse risky rival river roast robot rocky rough round route royal rugby rural
salad sauce scale scarf scene scent scope score scout scrap sense serve seven shade
shaft shake shall shape share shark sharp sheep sheet shelf shell shift shine shirt
shock shore short shout sight silly since sixth sixty skill skirt slice slide slope
small smart smell smile smoke snack snake solar solid solve sorry sound south space
spare spark speak speed spell spend spice spike spine spite split spoon sport spray
squad stack staff stage stain stair stamp stand start state steak steam steel steep
stick stiff still stock stone stool storm story stove straw strip study stuff style
sugar sunny super swamp sweep sweet swift swing sword table taste teach teeth thank
theft their theme there thick thief thing think third thorn those three throw thumb
tiger tight title toast today token tooth topic torch total touch tough towel tower
trace track trade trail train trash treat trend trial tribe trick truck truly trunk
trust truth tulip twice twist uncle under union unite unity until upper upset urban
usage usual vague valid value vapor vault video virus visit vital vivid vocal voice
voter wagon waist waste watch water weary weigh wheat wheel where which while white
whole widow woman world worry worth would wound wrist write wrong yacht yield young
youth zebra
"""

WORDS = tuple(_TEXT.split())
